"""Built-in executors."""

from cliffkit.hookspecs import hookimpl


@hookimpl
def cliffkit_register(registry):  # noqa: D103
    registry.add("executor", "local", "cliffkit_executors.local:Local", "worker processes on this machine")
