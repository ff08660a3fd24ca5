"""Any model of timm, convolutional or transformer, as a backbone."""

from __future__ import annotations

import difflib
import pickle
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import safetensors
import timm
import timm.models
import torch
from torch import Tensor

from cliffkit.interfaces import Backbone
from cliffkit.layers import level_size

LEVELS = 4


class TimmModel(Backbone):
    """The last four feature maps of a timm model, on images normalised with that model's own constants.

    Without `pretrained` or `weights` the model starts at random.

    Convolutional models give strides 4, 8, 16 and 32; plain vision transformers give their last four blocks, all at
    the stride of their patches. Most convolutional models take images of any size; images are padded for the others.
    Models that cannot leave the image size that they were made for say so when they meet another.

    Raises ValueError for a name that timm does not know or that others have registered in it, a model without four
    nested levels, weights that cannot be had, or weights that leave any tensor of the backbone unset.

    Options:
        name: Name of the model in timm, with or without a tag of its weights, as "resnet50" or "resnet50.a1_in1k".
        pretrained: Whether the model starts from its published weights, out of the Hugging Face cache or fetched into
            it.
        weights: Local .safetensors, .pt or .pth file with a state dict of the model, classifier or not.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, name: str, pretrained: bool = False, weights: Path | None = None) -> None:
        super().__init__()
        _check_name(name)
        if pretrained and weights is not None:
            raise ValueError(f"timm: '{name}' has both 'pretrained: true' and 'weights: {weights}'; keep one")
        if weights is not None:
            net = _from_file(name, weights)
        elif pretrained:
            net = _from_hub(name)
        else:
            net = _create(name)
        self.name = name
        self.net = net
        if pretrained:
            self.note_fetched(f"weights of {name}", net)
        self.channels = net.feature_info.channels()
        self.strides = net.feature_info.reduction()
        if len(self.channels) != LEVELS or any(max(self.strides) % stride for stride in self.strides):
            raise ValueError(
                f"timm: the levels of '{name}' have strides {list(self.strides)}; a backbone needs {LEVELS} levels "
                "whose strides divide the coarsest; use another model"
            )
        config = net.pretrained_cfg
        self.register_buffer("mean", torch.tensor(config["mean"]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config["std"]).view(3, 1, 1), persistent=False)
        self.made_for = tuple(config["input_size"][1:]) if config["fixed_input_size"] else None
        """The only size (height, width) that the model may take; None where it takes any."""
        self.channels_last = str(getattr(net, "output_fmt", "NCHW")).endswith("NHWC")
        if self._takes_any_size():
            self.multiple = 1

    @classmethod
    def absent_weights(cls, options: Mapping[str, Any]) -> str | None:
        """Name the published weights that are not in the Hugging Face cache; asks no network."""
        config = timm.get_pretrained_cfg(options["name"]) if options["pretrained"] else None
        if config is None or not config.has_weights or _cached(config):
            return None
        return (
            f"{_wanted(config)}, the weights of '{options['name']}', is not in the Hugging Face cache; without a "
            "network write 'pretrained: false' with 'weights: PATH'"
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] to one (B, C_k, H/s_k, W/s_k) per level, rounded up.

        Raises ValueError for a size that the model refuses.
        """
        size = tuple(image.shape[-2:])
        try:
            levels = self._channels_first(self.net((image - self.mean) / self.std))
        except (AssertionError, RuntimeError) as error:  # timm's models refuse a size in either way
            if self.made_for in (None, size) or isinstance(error, torch.OutOfMemoryError):
                raise
            raise ValueError(self._refusal(size)) from error
        if not self._fit(levels, size):
            raise ValueError(self._refusal(size))
        return levels

    def _channels_first(self, levels: list[Tensor]) -> list[Tensor]:
        return [level.permute(0, 3, 1, 2) for level in levels] if self.channels_last else levels

    def _fit(self, levels: list[Tensor], size: tuple[int, ...]) -> bool:
        """Tell whether the levels of an image of `size` have the shapes that channels and strides say."""
        return all(
            level.shape[1:] == (channels, *level_size(size, stride))
            for level, channels, stride in zip(levels, self.channels, self.strides, strict=True)
        )

    def _takes_any_size(self) -> bool:
        """Try an image one pixel larger and one pixel smaller than whole strides; shapes alone are computed."""
        tensors = {**dict(self.net.named_parameters()), **dict(self.net.named_buffers())}
        shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
        size = (4 * max(self.strides) + 1, 5 * max(self.strides) - 1)
        try:
            with torch.no_grad():
                levels = torch.func.functional_call(self.net, shapes, torch.empty(1, 3, *size, device="meta"))
        except (AssertionError, RuntimeError):  # timm's models refuse a size in either way
            return False
        return self._fit(self._channels_first(levels), size)

    def _refusal(self, size: tuple[int, ...]) -> str:
        only = f"; it is made for {self.made_for[0]}x{self.made_for[1]}" if self.made_for else ""
        return (
            f"timm: '{self.name}' does not take images of {size[0]}x{size[1]}{only}; give it one that it takes, "
            "or use a model that takes any size, such as resnet50, convnext_tiny or vit_small_patch16_224"
        )


def _check_name(name: str) -> None:
    """Raise ValueError with near misses where timm has no such model of its own or no such tag of it."""
    model, _, tag = name.partition(".")
    if not timm.is_model(model):
        near = difflib.get_close_matches(model, timm.list_models(), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "timm.list_models() lists them"
        raise ValueError(f"timm: there is no model '{model}'; {hint}")
    giver = str(timm.model_entrypoint(model).__module__)
    if giver.partition(".")[0] != timm.__name__:
        raise ValueError(
            f"timm: '{model}' is a model that {giver} has registered, so no key would know its code; make it a "
            "backbone of a plugin (docs/guides/plugins/backbone.md)"
        )
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{model}.*")]
    if tag and tag not in tags:
        raise ValueError(f"timm: '{model}' has no weights tagged '{tag}'; there are: {', '.join(tags) or 'none'}")


def _create(name: str, **options: Any) -> Any:
    """Create the feature extractor, of any image size where the model can do that."""
    config = timm.get_pretrained_cfg(name)
    if config and config.fixed_input_size:
        try:
            net = _features(name, dynamic_img_size=True, **options)
        except TypeError:  # the model's constructor has no such option
            pass
        else:
            net.pretrained_cfg = {**net.pretrained_cfg, "fixed_input_size": False}
            return net
    return _features(name, **options)


def _features(name: str, **options: Any) -> Any:
    try:
        return timm.create_model(name, features_only=True, out_indices=tuple(range(-LEVELS, 0)), **options)
    except (AssertionError, IndexError) as error:
        raise ValueError(f"timm: '{name}' has fewer than {LEVELS} levels of features; use another model") from error


def _from_file(name: str, weights: Path) -> Any:
    """Create the model with the weights of a local file, every tensor of the backbone covered."""
    path = weights.expanduser()
    if not path.is_file():
        raise ValueError(f"timm: weights: there is no file {path}")
    try:
        state = timm.models.load_state_dict(str(path), weights_only=True)
        if not state:
            raise ValueError(f"timm: {path} holds no tensors; give the state dict of '{name}'")
        # The wrapper renames tensors and timm's per-model filters rewrite them, so names cannot be compared. Instead,
        # load the state once with NaN everywhere: what is not NaN afterwards is not covered.
        poison = {k: torch.full_like(v, torch.nan) if v.is_floating_point() else v for k, v in state.items()}
        probe = _create(name, pretrained=True, pretrained_cfg_overlay={"state_dict": poison})
        unset = [k for k, v in probe.state_dict().items() if v.is_floating_point() and not v.isnan().all()]
        if not unset:
            overlay = {"file": str(path), "custom_load": False}
            return _create(name, pretrained=True, pretrained_cfg_overlay=overlay)
    except (RuntimeError, KeyError, OSError, AttributeError, pickle.UnpicklingError, safetensors.SafetensorError) as e:
        raise ValueError(f"timm: {path} does not hold weights of '{name}': {type(e).__name__}: {e}") from e
    shown = ", ".join(unset[:8]) + (f" and {len(unset) - 8} more" if len(unset) > 8 else "")
    raise ValueError(
        f"timm: {path} sets only part of '{name}'; missing are {shown}; give the state dict of a whole '{name}' of timm"
    )


def _from_hub(name: str) -> Any:
    """Create the model with its published weights, from the cache where they lie there."""
    config = timm.get_pretrained_cfg(name)
    if not (config and config.has_weights):
        raise ValueError(f"timm: '{name}' has no published weights; use 'weights: PATH', or 'pretrained: false'")
    cached = _cached(config)
    if cached:
        return _create(name, pretrained=True, pretrained_cfg_overlay={"file": cached, "custom_load": False})
    cause: OSError | None = None
    if _online():  # asked first, since a download without a network retries for three quarters of a minute
        try:
            return _create(name, pretrained=True)
        except OSError as error:
            cause = error
    raise ValueError(
        f"timm: {_wanted(config)}, the weights of '{name}', is not in the Hugging Face cache and cannot be fetched"
        f"{f' ({cause})' if cause else ''}; run this once where there is a network and bring the cache (HF_HOME), "
        "or write 'pretrained: false' with 'weights: PATH', a file with a state dict of the model (of torchvision too, "
        "where the names are the same, as for resnet50), or 'pretrained: false' alone to start at random"
    ) from cause


def _wanted(config: Any) -> str:
    """Name published weights as one finds them: the hub's repository, or the address of a file."""
    return str(config.hf_hub_id or config.url)


def _cached(config: Any) -> str | None:
    """Find the cached file with these weights, where timm's own loader would read it as a state dict."""
    if not config.hf_hub_id or config.custom_load:
        return None
    names = [config.hf_hub_filename] if config.hf_hub_filename else ["model.safetensors", "pytorch_model.bin"]
    found = (huggingface_hub.try_to_load_from_cache(config.hf_hub_id, name) for name in names)
    return next((path for path in found if isinstance(path, str)), None)


def _online() -> bool:
    """Ask whether the Hugging Face hub answers, through a proxy where one is set."""
    try:
        urllib.request.urlopen(huggingface_hub.constants.ENDPOINT, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
