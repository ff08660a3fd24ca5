"""Scores of depth: protocols, views, metrics."""
