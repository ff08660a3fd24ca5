"""Depth of whole images."""
