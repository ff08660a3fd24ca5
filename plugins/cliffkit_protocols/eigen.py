"""The protocol that most papers use on NYU Depth v2."""

from cliffkit.protocols import Crop, Protocol


def eigen(*, cap_m: float = 10.0, min_depth_m: float = 1e-3, crop: bool = True) -> Protocol:
    """Score the whole image inside Eigen's crop, as BTS (without flip), AdaBins and MDE-Toolbox (with flip) do on NYU.

    Options:
        cap_m: Largest true depth that is scored, and largest prediction, in metres.
        min_depth_m: Smallest true depth that is scored, and smallest prediction, in metres.
        crop: Score rows 45 to 471 and columns 41 to 601 of 480x640 only.
    """
    return Protocol(
        "eigen",
        "as on NYU in BTS (without flip), AdaBins and MDE-Toolbox (with flip)",
        crop=Crop(45, 471, 41, 601, frame=(480, 640)) if crop else None,
        min_depth_m=min_depth_m,
        max_depth_m=cap_m,
        clamp_low_m=min_depth_m,
        clamp_high_m=cap_m,
        replace_nonfinite=True,
    )
