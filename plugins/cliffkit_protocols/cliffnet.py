"""The protocol of CLIFFNet's authors."""

from cliffkit.protocols import Protocol, View


def cliffnet(*, clamp_m: float = 10.0, region: float = 0.95, size: tuple[int, int] = (228, 304)) -> Protocol:
    """Score the centre of the image at half of NYU's scale, as the CLIFFNet release does.

    Options:
        clamp_m: Largest prediction, in metres; every true depth is scored.
        region: Share of each side, about the centre, that is shown to the network and scored.
        size: Height and width at which truth and prediction are compared.
    """
    return Protocol(
        "cliffnet",
        "after the CLIFFNet release, which also counts d = 0 by adding 1e-3 m",
        view=View(region, size),
        clamp_low_m=0.0,
        clamp_high_m=clamp_m,
    )
