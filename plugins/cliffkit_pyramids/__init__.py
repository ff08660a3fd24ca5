"""Built-in feature pyramids."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the pyramids; each module is imported when a recipe uses it."""
    registry.add("pyramid", "dpt", "cliffkit_pyramids.dpt:DPT", "reassembling of a plain transformer's levels, as DPT")
    registry.add(
        "pyramid", "fpn", "cliffkit_pyramids.fpn:FPN", "top-down feature pyramid, as CLIFFNet's authors build it"
    )
    registry.add(
        "pyramid", "simple", "cliffkit_pyramids.simple:Simple", "a plain transformer's last level alone, as ViTDet"
    )
    registry.add("pyramid", "symmetric", "cliffkit_pyramids.symmetric:Symmetric", "mirror of the hand-built encoder")
