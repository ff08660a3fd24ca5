"""Backbone `lite0` for cliffkit. Imports no torch: listing components stays fast."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the backbone; its module is imported when a recipe uses it."""
    registry.add("backbone", "lite0", "cliffkit_lite0.lite0:Lite0", "EfficientNet-Lite0, ImageNet weights, no hub")
