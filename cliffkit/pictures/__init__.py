"""Pictures of depth.

Every function writes a PNG to the path it is given, whatever the path's suffix, and leaves matplotlib's global state
alone. Depth is in metres; a NaN or infinity means that there is none, and is drawn grey."""
