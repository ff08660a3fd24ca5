"""Network `unet` for cliffkit. Imports no torch: listing components stays fast."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the network; its module is imported when a recipe uses it."""
    registry.add("network", "unet", "cliffkit_foreign.network:UNetDepth", "a U-Net of another repository, disparity")
