"""From a room and a camera to a photograph with its depth."""
