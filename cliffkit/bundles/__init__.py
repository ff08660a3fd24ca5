"""A study in one file: what goes into it, and what a reader can check with nothing but that file."""
