"""A finished run as Python has it: its scores, its network, its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from cliffkit.jobs.parts import TO_PREDICT, check_parts
from cliffkit.jobs.run_folder import check_files
from cliffkit.prediction.files import image_tensor, read_image
from cliffkit.prediction.predictor import Floats, Predictor
from cliffkit.prediction.predictor import predictor as load_predictor
from cliffkit.recipe.recipe import Recipe
from cliffkit.store.artifacts import PANEL, RECIPE, WEIGHTS, PerImage, RunMetrics, Summary
from cliffkit.training.device import open_device
from cliffkit.verbs.inputs import AnyPath
from cliffkit.verbs.rows import Rows
from cliffkit.verbs.scored import image_rows

Scores = Mapping[str, Summary]


@dataclass(frozen=True)
class Run:
    """A finished run: a folder with scores, weights and the recipe that made them. Files are read when asked for."""

    folder: Path
    recipe: Recipe = field(repr=False)
    device: str = "auto"
    """Where its network computes."""
    reused: tuple[str, ...] = ()
    """The stages that were found done; empty for a run that was loaded."""

    @cached_property
    def record(self) -> RunMetrics:
        """All that metrics.json says: scores per protocol, how the weights were chosen, seconds and keys by stage."""
        check_files(self.folder, [RunMetrics.FILE])
        return RunMetrics.read(self.folder)

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.recipe.name

    @property
    def key(self) -> str:
        """The key of its last job, a hash of all that its scores depend on."""
        return self.record.key

    @property
    def metrics(self) -> Scores:
        """Scores of the network by protocol and metric: `metrics["full"]["abs_rel"]`; rmse in metres."""
        return self.record.metrics

    @property
    def baseline(self) -> Scores:
        """Scores of a constant prediction, the median of the training depths, by protocol and metric."""
        return self.record.baseline

    @cached_property
    def per_image(self) -> Rows:
        """Scores of each test image under each protocol: columns protocol, image, and one per metric."""
        check_files(self.folder, [PerImage.FILE])
        return image_rows(self.folder)

    @property
    def panel(self) -> Path:
        """A picture of test images with their true and predicted depth (PNG)."""
        return self.folder / PANEL

    @property
    def network(self) -> nn.Module:
        """The trained network in evaluation mode: (B, 3, H, W) RGB in [0, 1] to (B, 1, H, W) metres.

        It lies on the run's device, and is the one that `predictor` uses. Images must have the scale of training;
        `predictor` sees to that.
        """
        return self._predictor.network

    def predictor(self, device: str | None = None) -> DepthPredictor:
        """Load the network to predict the depth of whole images; on the run's device, unless another is named.

        Raises UserError where the parts that are installed are not those with which the weights were trained.

        Example:

            predict = run.predictor()
            depth_m = predict("photo.jpg")
        """
        return DepthPredictor(self._predictor if device is None else self._load(device))

    @cached_property
    def _predictor(self) -> Predictor:
        return self._load(self.device)

    def _load(self, device: str) -> Predictor:
        check_parts(self.folder, self.recipe, TO_PREDICT)
        check_files(self.folder, (RECIPE, WEIGHTS))
        return load_predictor(self.recipe, self.folder / WEIGHTS, open_device(device, "fp32").torch)


@dataclass(frozen=True)
class DepthPredictor:
    """Predicts the depth of images at their own size, one at a time, in float32."""

    _predictor: Predictor

    def __call__(self, image: NDArray[np.uint8] | Image.Image | AnyPath, *, flip: bool = False) -> Floats:
        """Predict the depth of an image: (H, W, 3) uint8 RGB, a PIL image or a file, to (H, W) float32 metres.

        `flip` averages with the prediction for the mirrored image. Raises UserError where that is no image.
        """
        pixels = image_tensor(image) if isinstance(image, np.ndarray | Image.Image) else read_image(Path(image))
        return self._predictor(pixels, flip=flip)
