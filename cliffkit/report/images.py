"""Pictures inside of a page: photos, depth and errors in colour, as `data:` addresses."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from numpy.typing import NDArray
from PIL import Image

from cliffkit.pictures.colours import (
    DEPTH_COLOURS,
    ERROR_COLOURS,
    Floats,
    colour_map,
    linear_scale,
    masked,
    scale_ends,
    scale_of,
    wide_scale,
)
from cliffkit.report.gallery import Gallery


def tiles(gallery: Gallery | str, metric: str) -> dict[str, Any]:
    """Draw everything that a page shows of a gallery; of none only the reason."""
    if isinstance(gallery, str):
        return {"reason": gallery, "images": []}
    depth_norm, error_norm = scales(gallery)

    images = []
    for i, chosen in enumerate(gallery.images):
        predictions = [
            {
                "name": network.variant.name,
                "seed": network.seed,
                "score": f"{metric} {network.scores[i]:.3g}",
                "depth": coloured(network.predictions[i], depth_norm, DEPTH_COLOURS),
                "error": coloured(network.errors[i], error_norm, ERROR_COLOURS),
            }
            for network in gallery.variants
        ]
        rgb, truth = photo(chosen.rgb), coloured(chosen.truth, depth_norm, DEPTH_COLOURS)
        texts = {"name": chosen.name, "why": chosen.why, "note": chosen.note}
        images.append({**texts, "rgb": rgb, "truth": truth, "predictions": predictions})

    bars = [
        ("depth, prediction [m]", *colour_bar(depth_norm, DEPTH_COLOURS)),
        ("relative error |d − p| / d", *colour_bar(error_norm, ERROR_COLOURS)),
    ]
    return {"reason": gallery.reason, "images": images, "bars": bars}


def scales(gallery: Gallery) -> tuple[Normalize, Normalize]:
    """Lay one scale over every depth and one over every error.

    The scale of depth spans the truth alone, from its 1st to its 99th percentile; where that is far, it is logarithmic.
    So a network that predicts nonsense does not take the others' colours. The scale of errors ends at their 99th
    percentile.
    """
    errors = [error for network in gallery.variants for error in network.errors]
    depth_norm = wide_scale(scale_of([image.truth for image in gallery.images])[0])
    error_high = scale_ends(scale_of(errors)[0])[1]
    return depth_norm, linear_scale(0.0, error_high)


def coloured(values: Floats, norm: Normalize, colours: str) -> str:
    """Draw depth or error (H, W) in colour; grey where there is no depth."""
    return photo(colour_map(colours)(norm(masked(values)), bytes=True)[..., :3])


def photo(rgb: NDArray[np.uint8]) -> str:
    """Turn an image (H, W, 3) into a `data:` address."""
    data = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(data, format="JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()


def colour_bar(norm: Normalize, colours: str) -> tuple[str, list[str]]:
    """Draw a strip of a scale's colours, and give five evenly spaced values along it."""
    strip = colour_map(colours)(np.linspace(0, 1, 256)[None].repeat(8, 0), bytes=True)
    return photo(strip[..., :3]), [f"{float(norm.inverse(place)):.3g}" for place in (0, 0.25, 0.5, 0.75, 1)]
