"""Further conventions on KITTI: Eigen's crop, and the improved truth."""

from cliffkit.protocols import Crop, Protocol

BENCHMARK = (352, 1216)
"""Height and width, pixels, to which KITTI's depth benchmark crops its images: the lowest rows, the centre columns."""


def kitti_eigen(*, cap_m: float = 80.0, min_depth_m: float = 1e-3, benchmark_crop: bool = False) -> Protocol:
    """Score the whole image inside the crop for KITTI that reproduces Eigen et al., NIPS 2014.

    Source of the shares: monodepth (Godard et al., CVPR 2017), with BTS, AdaBins and ZoeDepth after it.

    Options:
        cap_m: Largest true depth that is scored, and largest prediction, in metres.
        min_depth_m: Smallest true depth that is scored, and smallest prediction, in metres.
        benchmark_crop: Take the shares of the lowest, central 352x1216 pixels, as MDE-Toolbox, not of the image.
    """
    window = BENCHMARK if benchmark_crop else None
    return Protocol(
        "kitti_eigen",
        "Eigen's crop on KITTI as in monodepth, BTS, AdaBins and ZoeDepth",
        crop=Crop(0.3324324, 0.91351351, 0.0359477, 0.96405229, window=window),
        min_depth_m=min_depth_m,
        max_depth_m=cap_m,
        clamp_low_m=min_depth_m,
        clamp_high_m=cap_m,
        replace_nonfinite=True,
    )


def kitti_improved(*, cap_m: float = 80.0) -> Protocol:
    """Score every true depth of the whole image and clamp predictions, as monodepth2 on KITTI's improved truth.

    Source: monodepth2 (Godard et al., ICCV 2019), split `eigen_benchmark`, which aligns by medians:
    `kitti_improved+median`.

    Options:
        cap_m: Largest prediction, in metres; deeper truth is scored too.
    """
    return Protocol(
        "kitti_improved",
        "as monodepth2 on the improved truth of KITTI (with median alignment)",
        clamp_low_m=1e-3,
        clamp_high_m=cap_m,
        replace_nonfinite=True,
    )
