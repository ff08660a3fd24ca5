"""Built-in heads."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the heads; each module is imported when a recipe uses it."""
    registry.add("head", "bins", "cliffkit_heads.bins:Bins", "adaptive bin centres and their mixture, as AdaBins")
    registry.add(
        "head", "linear", "cliffkit_heads.linear:Linear", "two convolutions, metres directly, as CLIFFNet's authors"
    )
    registry.add("head", "log", "cliffkit_heads.log:Log", "exponential of a linear output")
    registry.add("head", "sigmoid", "cliffkit_heads.sigmoid:Sigmoid", "sigmoid times a largest depth")
