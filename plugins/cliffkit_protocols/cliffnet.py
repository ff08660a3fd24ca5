"""The protocol of CLIFFNet's authors."""

from cliffkit.protocols import Protocol, View


def cliffnet(*, clamp_m: float = 10.0, size: tuple[int, int] = (228, 304)) -> Protocol:
    """Score the whole image, shrunk to the size of training, as the CLIFFNet release does.

    The release trains on centres of 456x608 at half scale and does not crop test images: the whole 480x640 becomes
    228x304. Source: Wang et al., ECCV 2020, branch nyu_cliff_v5.5.1 of the authors' release.

    Options:
        clamp_m: Largest prediction, in metres; every true depth is scored.
        size: Height and width at which truth and prediction are compared.
    """
    return Protocol(
        "cliffnet",
        "after the CLIFFNet release, which also counts d = 0 by adding 1e-3 m",
        view=View(size=size, squeezed=True),
        clamp_low_m=0.0,
        clamp_high_m=clamp_m,
    )
