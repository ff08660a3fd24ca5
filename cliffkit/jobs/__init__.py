"""Jobs: planned by key, done once per store."""
