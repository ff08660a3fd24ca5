"""Built-in backbones."""

from cliffkit.hookspecs import hookimpl


@hookimpl
def cliffkit_register(registry):  # noqa: D103
    registry.add("backbone", "handbuilt", "cliffkit_backbones.handbuilt:Handbuilt", "four stride-2 convs, 16/32/32/32")
    registry.add("backbone", "timm", "cliffkit_backbones.timm_model:TimmModel", "any timm model by name, CNN or ViT")
