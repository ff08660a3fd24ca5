"""The protocol that most papers use on KITTI."""

from cliffkit.protocols import Crop, Protocol
from cliffkit_protocols.kitti import BENCHMARK


def garg(
    *, cap_m: float = 80.0, min_depth_m: float = 1e-3, crop: bool = True, benchmark_crop: bool = False
) -> Protocol:
    """Score the whole image inside Garg's crop, as on KITTI: BTS (without flip), AdaBins (with flip), monodepth2 (with
    median alignment).

    Options:
        cap_m: Largest true depth that is scored, and largest prediction, in metres.
        min_depth_m: Smallest true depth that is scored, and smallest prediction, in metres.
        crop: Score the rows and columns of Garg's crop only, which leaves out the sky.
        benchmark_crop: Take Garg's shares of the lowest, central 352x1216 pixels, as MDE-Toolbox, not of the image.
    """
    if benchmark_crop and not crop:
        raise ValueError("garg: benchmark_crop needs crop")
    window = BENCHMARK if benchmark_crop else None
    return Protocol(
        "garg",
        "the Garg crop as used on KITTI",
        crop=Crop(0.40810811, 0.99189189, 0.03594771, 0.96405229, window=window) if crop else None,
        min_depth_m=min_depth_m,
        max_depth_m=cap_m,
        clamp_low_m=min_depth_m,
        clamp_high_m=cap_m,
        replace_nonfinite=True,
    )
