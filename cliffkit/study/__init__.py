"""Studies: a base recipe varied along axes, each variant under several seeds, and what the differences are worth."""
