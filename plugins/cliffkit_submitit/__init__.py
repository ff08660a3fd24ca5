"""Studies as Slurm jobs; needs the extra `cliffkit[submitit]`."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the executor; its module is imported when a study uses it."""
    registry.add("executor", "submitit", "cliffkit_submitit.executor:Submitit", "Slurm jobs over a shared runs folder")
