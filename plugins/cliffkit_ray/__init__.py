"""Studies on a Ray cluster; needs the extra `cliffkit[ray]`."""

from cliffkit.hookspecs import hookimpl


@hookimpl
def cliffkit_register(registry):  # noqa: D103
    registry.add("executor", "ray", "cliffkit_ray.executor:RayCluster", "a Ray cluster over a shared runs folder")
