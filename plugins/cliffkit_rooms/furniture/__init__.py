"""Pieces of furniture and what lies on them, each drawn anew at every call."""
