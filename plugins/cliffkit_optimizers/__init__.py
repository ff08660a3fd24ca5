"""Built-in optimisers."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the optimisers; each module is imported when a recipe uses it."""
    registry.add("optimizer", "adam", "cliffkit_optimizers.adam:adam", "Adam, weight decay as an L2 penalty")
    registry.add("optimizer", "adamw", "cliffkit_optimizers.adam:adamw", "Adam with decoupled weight decay")
    registry.add("optimizer", "sgd", "cliffkit_optimizers.sgd:sgd", "stochastic gradient descent with momentum")
