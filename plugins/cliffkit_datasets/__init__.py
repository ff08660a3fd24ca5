"""Built-in data sets."""

from cliffkit.hookspecs import hookimpl


@hookimpl
def cliffkit_register(registry):  # noqa: D103
    registry.add("dataset", "nyu", "cliffkit_datasets.nyu:NYU", "NYU-Depth V2, the labelled .mat as published")
    registry.add("dataset", "pairs", "cliffkit_datasets.pairs:Pairs", "a folder of RGB-D pairs with an index.csv")
