"""Built-in embedding generators (HEG)."""

from cliffkit.hookspecs import hookimpl


@hookimpl
def cliffkit_register(registry):  # noqa: D103
    registry.add("embedding", "heg_r", "cliffkit_embeddings.heg_r:HegR", "depth autoencoder; needs no labels")
    registry.add("embedding", "heg_s", "cliffkit_embeddings.heg_s:HegS", "scene classifier on depth maps")
