"""Built-in losses in depth space."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the losses; each module is imported when a recipe uses it."""
    registry.add("loss", "berhu", "cliffkit_losses.berhu:BerHu", "reverse Huber: L1 near zero, L2 beyond")
    registry.add("loss", "bins", "cliffkit_losses.bins:Bins", "Chamfer distance of a head's bin centres to true depths")
    registry.add("loss", "gradient", "cliffkit_losses.gradient:Gradient", "difference of depth gradients, multi-scale")
    registry.add("loss", "l1", "cliffkit_losses.l1:L1", "mean absolute difference")
    registry.add("loss", "l2", "cliffkit_losses.l2:L2", "mean squared difference")
    registry.add("loss", "silog", "cliffkit_losses.silog:SILog", "scale-invariant logarithmic loss")
    registry.add("loss", "ssim", "cliffkit_losses.ssim:SSIM", "structural dissimilarity of depth maps")
    registry.add("loss", "ssi", "cliffkit_losses.ssi:SSI", "L1 after each map's own shift and scale are taken out")
    registry.add(
        "loss",
        "virtual_normals",
        "cliffkit_losses.virtual_normals:VirtualNormals",
        "difference of the normals of random triangles of points",
    )
