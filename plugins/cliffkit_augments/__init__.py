"""Built-in steps of augmentation."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the steps; each module is imported when a recipe uses it."""
    registry.add("augment", "color_jitter", "cliffkit_augments.color_jitter:ColorJitter", "vary colours per image")
    registry.add("augment", "cutdepth", "cliffkit_augments.cutdepth:CutDepth", "show depth in a rectangle of the image")
    registry.add("augment", "flip", "cliffkit_augments.flip:Flip", "mirror images with their depth")
    registry.add("augment", "random_crop", "cliffkit_augments.random_crop:RandomCrop", "zoom into a random window")
    registry.add("augment", "rotate", "cliffkit_augments.rotate:Rotate", "roll the camera by a small angle")
