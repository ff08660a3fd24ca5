"""Studies on a Ray cluster; needs the extra `cliffkit[ray]`."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the executor; its module is imported when a study uses it."""
    registry.add("executor", "ray", "cliffkit_ray.executor:RayCluster", "a Ray cluster over a shared runs folder")
