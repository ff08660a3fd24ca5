"""Kinds of places: what stands in a room of each scene type, and how."""
