"""Recipes: read, checked whole, written back."""
