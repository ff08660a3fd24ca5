"""Built-in fusions: how one coarser level enters the next finer one."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the fusions; each module is imported when a recipe uses it."""
    registry.add("fusion", "add", "cliffkit_fusions.add:Add", "upsample and add")
    registry.add("fusion", "cliff", "cliffkit_fusions.cliff:Cliff", "cross-level identity feature fusion (CLIFFNet)")
    registry.add("fusion", "concat", "cliffkit_fusions.concat:Concat", "upsample, concatenate, 3x3 conv")
