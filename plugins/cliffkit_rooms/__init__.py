"""Data set `rooms`: procedural indoor scenes, ray-cast in numpy, with true metric depth.

`scene` says what a room is, `furniture` and `places` furnish it, `image` photographs it and knows nothing of furniture.
`render` joins them into one frame, and `dataset` into splits of frames.
"""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the data set; its module is imported when a recipe uses it."""
    registry.add("dataset", "rooms", "cliffkit_rooms.dataset:Rooms", "procedural indoor scenes, ray-cast, true depth")
