"""Predictions that files hold, made by whatever network: found, read, brought to metres, and looked at."""
