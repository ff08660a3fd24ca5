"""Built-in embedding generators (HEG)."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the embedding generators; each module is imported when a recipe uses it."""
    registry.add("embedding", "filters", "cliffkit_embeddings.filters:Filters", "fixed derivative filters, not trained")
    registry.add("embedding", "heg_r", "cliffkit_embeddings.heg_r:HegR", "depth autoencoder; needs no labels")
    registry.add("embedding", "heg_s", "cliffkit_embeddings.heg_s:HegS", "scene classifier on depth maps")
    registry.add("embedding", "normals", "cliffkit_embeddings.normals:Normals", "surface normals, not trained")
