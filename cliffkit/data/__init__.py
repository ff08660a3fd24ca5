"""Data: a split at training size, batches of it, and checks."""
