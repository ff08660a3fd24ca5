"""Built-in executors."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the executors; each module is imported when a study uses it."""
    registry.add("executor", "local", "cliffkit_executors.local:Local", "worker processes on this machine")
