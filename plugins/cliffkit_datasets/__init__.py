"""Built-in data sets."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the data sets; each module is imported when a recipe uses it."""
    registry.add("dataset", "nyu", "cliffkit_datasets.nyu:NYU", "NYU-Depth V2, the labelled .mat as published")
    registry.add("dataset", "pairs", "cliffkit_datasets.pairs:Pairs", "a folder of RGB-D pairs with an index.csv")
    registry.add("dataset", "nyu_sync", "cliffkit_datasets.nyu_sync:NYUSync", "NYU-Depth V2 by the lists of BTS")
    registry.add("dataset", "kitti", "cliffkit_datasets.kitti:KITTI", "KITTI by Eigen's split, improved or raw truth")
