"""Built-in data sets."""

from cliffkit.hookspecs import Download, Registry, hookimpl
from cliffkit_datasets.downloads import NYU


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the data sets; each module is imported when a recipe uses it."""
    registry.add("dataset", "nyu", "cliffkit_datasets.nyu:NYU", "NYU-Depth V2, the labelled .mat as published")
    registry.add("dataset", "pairs", "cliffkit_datasets.pairs:Pairs", "a folder of RGB-D pairs with an index.csv")
    registry.add("dataset", "nyu_sync", "cliffkit_datasets.nyu_sync:NYUSync", "NYU-Depth V2 by the lists of BTS")
    registry.add("dataset", "kitti", "cliffkit_datasets.kitti:KITTI", "KITTI by Eigen's split, improved or raw truth")
    registry.add("dataset", "h5", "cliffkit_datasets.h5:H5", "NYU-Depth V2 in .h5 files, of FastDepth or Hugging Face")
    registry.add("dataset", "diode", "cliffkit_datasets.diode:DIODE", "DIODE, with its masks")
    registry.add("dataset", "hypersim", "cliffkit_datasets.hypersim:Hypersim", "Hypersim, distance turned into depth")
    registry.add("dataset", "vkitti2", "cliffkit_datasets.vkitti2:VKITTI2", "Virtual KITTI 2, without the sky")
    registry.add("dataset", "sunrgbd", "cliffkit_datasets.sunrgbd:SUNRGBD", "SUN RGB-D, bits of depth turned back")
    registry.add(
        "dataset", "ultralytics", "cliffkit_datasets.ultralytics:Ultralytics", "folders images/ and depth/ with a YAML"
    )
    registry.add("dataset", "mix", "cliffkit_datasets.mix:Mix", "several data sets in one training, with shares")


@hookimpl
def cliffkit_downloads(downloads: list[Download]) -> None:
    """Name the data sets that can be downloaded."""
    downloads.append(NYU)
