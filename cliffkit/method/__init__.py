"""CLIFFNet's frame: network, hierarchical embedding loss, objectives."""
