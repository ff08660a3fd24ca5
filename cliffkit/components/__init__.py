"""Components: the registry of parts and how plugins are found."""
