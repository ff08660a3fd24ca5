"""Built-in feature pyramids."""

from cliffkit.hookspecs import hookimpl


@hookimpl
def cliffkit_register(registry):  # noqa: D103
    registry.add(
        "pyramid", "fpn", "cliffkit_pyramids.fpn:FPN", "top-down feature pyramid, as CLIFFNet's authors build it"
    )
    registry.add("pyramid", "symmetric", "cliffkit_pyramids.symmetric:Symmetric", "mirror of the hand-built encoder")
