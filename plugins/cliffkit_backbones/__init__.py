"""Built-in backbones."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the backbones; each module is imported when a recipe uses it."""
    registry.add("backbone", "handbuilt", "cliffkit_backbones.handbuilt:Handbuilt", "four stride-2 convs, 16/32/32/32")
    registry.add("backbone", "timm", "cliffkit_backbones.timm_model:TimmModel", "any timm model by name, CNN or ViT")
