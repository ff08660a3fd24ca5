"""The protocol of Hu et al."""

from cliffkit.protocols import Protocol, View


def hu(*, region: float = 0.95, size: tuple[int, int] = (228, 304)) -> Protocol:
    """Score the centre of the image at half of NYU's scale, as Hu et al., "Revisiting Single Image Depth Estimation".

    Options:
        region: Share of each side, about the centre, that is shown to the network and scored.
        size: Height and width at which truth and prediction are compared.
    """
    return Protocol("hu", "as Hu et al., WACV 2019", view=View(region, size), delta_inclusive=True, rmse_pooled=True)
