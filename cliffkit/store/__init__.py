"""The store of finished jobs."""
