"""Metrics that a protocol may ask for beside the nine."""
