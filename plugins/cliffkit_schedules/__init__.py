"""Built-in schedules of the learning rate."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the schedules; each module is imported when a recipe uses it."""
    registry.add("schedule", "constant", "cliffkit_schedules.constant:Constant", "the same rate in every step")
    registry.add("schedule", "cosine", "cliffkit_schedules.cosine:Cosine", "half a cosine from the rate to 0")
    registry.add("schedule", "onecycle", "cliffkit_schedules.onecycle:OneCycle", "a rise and a longer fall")
    registry.add("schedule", "poly", "cliffkit_schedules.poly:Poly", "a power of the share of steps that are left")
    registry.add("schedule", "step", "cliffkit_schedules.step:Step", "a lower rate after each milestone")
