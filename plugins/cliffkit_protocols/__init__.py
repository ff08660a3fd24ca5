"""Built-in evaluation protocols, and the metrics that they may be asked for."""

from cliffkit.hookspecs import Registry, hookimpl


@hookimpl
def cliffkit_register(registry: Registry) -> None:
    """Name the protocols; each module is imported when a recipe uses it."""
    registry.add("protocol", "eigen", "cliffkit_protocols.eigen:eigen", "NYU's usual: Eigen's crop, depth below 10 m")
    registry.add(
        "protocol", "cliffnet", "cliffkit_protocols.cliffnet:cliffnet", "CLIFFNet's own: whole image at 228x304"
    )
    registry.add("protocol", "hu", "cliffkit_protocols.hu:hu", "Hu et al.'s: centre at half scale, rmse over the set")
    registry.add("protocol", "garg", "cliffkit_protocols.garg:garg", "KITTI's usual: Garg's crop, depth below 80 m")
    registry.add(
        "protocol", "kitti_eigen", "cliffkit_protocols.kitti:kitti_eigen", "KITTI inside Eigen's crop, depth below 80 m"
    )
    registry.add(
        "protocol", "kitti_improved", "cliffkit_protocols.kitti:kitti_improved", "KITTI's improved truth, as monodepth2"
    )
    metrics = "cliffkit_protocols.metrics"
    registry.add("metric", "boundary_f1", f"{metrics}.boundary_f1:BoundaryF1", "boundaries found, as Depth Pro counts")
    registry.add("metric", "normal_error", f"{metrics}.normals:NormalError", "angle between normals, degrees")
    registry.add("metric", "normal_share", f"{metrics}.normals:NormalShare", "share of normals less than 11.25° off")
    registry.add("protocol", "full", "cliffkit_protocols.full:full", "every valid pixel of the whole image")
