"""Whether a recipe's parts can be built and fit each other, before any work."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cliffkit.components.isolate import isolated
from cliffkit.data.splits import Roots, open_split
from cliffkit.errors import PartError, Stopped, UserError, cause
from cliffkit.method.assemble import assemble, build_embedding
from cliffkit.method.memory import Guard, check_images, check_network, memory_of
from cliffkit.method.network import DepthNetwork
from cliffkit.recipe.fit import Fit
from cliffkit.recipe.part import is_trained
from cliffkit.recipe.recipe import Recipe
from cliffkit.text import cut
from cliffkit.training.optimise import build_optimizer
from cliffkit.training.parameters import check_patterns
from cliffkit.training.start import load_start


def check_buildable(recipe: Recipe, roots: Roots, device: torch.device | None = None, world: int = 1) -> None:
    """Build every part once and show the network an image of each size that it will be asked for.

    Some backbones refuse some sizes. So the sizes of training, of each protocol and of `predict` are tried. A network
    or batch that cannot fit into the memory of this machine, or of the `device` that is to train, is refused before it
    is allocated. `world` processes share a batch. Raises UserError for faults that the user can mend, which a part
    reports by a ValueError, and PartError for any other exception of a part.
    """
    with isolated("cannot be built", [part.component for part in recipe.parts()]):
        try:
            _build(recipe, roots, device, world)
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"{recipe.name}: {error}") from error


def _build(recipe: Recipe, roots: Roots, device: torch.device | None, world: int) -> None:
    scene_types = len(open_split(recipe, "train", roots).scene_types)
    embedding, train, sizes = recipe.embedding, recipe.train, _sizes(recipe)
    devices = [torch.device("cpu"), *([device] if device is not None and device.type == "cuda" else [])]

    check_images(recipe, sizes, devices, world)
    with Guard(memory_of(devices[0])):
        network = assemble(recipe, scene_types).network.eval()
    check_network(recipe, network, sizes, devices)
    for height, width in sizes:
        _show(recipe, network, torch.zeros(1, 3, height, width))

    _check_training(network, train.depth, "depth")
    if embedding is not None and train.embedding is not None and is_trained(embedding):
        _check_training(build_embedding(embedding, scene_types), train.embedding, "embedding")


def _show(recipe: Recipe, network: DepthNetwork, image: Tensor) -> None:
    """Show the network an image. Raises UserError, or PartError, that names the part which raised."""
    names: list[str] = []
    parts = {kind: getattr(network, kind) for kind in ("backbone", "pyramid", "head")}
    parts |= {f"fusion {k}": fusion for k, fusion in enumerate(network.fusions)}
    hooks = [
        part.register_forward_pre_hook(lambda module, inputs, kind=kind: names.append(kind))
        for kind, part in parts.items()
    ]
    try:
        with torch.inference_mode():
            network(image)
    except (UserError, KeyboardInterrupt, Stopped):
        raise
    except BaseException as error:  # whatever a stranger's part raises
        kind = names[-1].partition(" ")[0] if names else "backbone"
        part, (height, width) = getattr(recipe, kind), image.shape[-2:]
        mendable = isinstance(error, ValueError)
        why = cut(str(error).partition("\n")[0], 300) if mendable else cause(error)
        raise (UserError if mendable else PartError)(
            f"{part.place}: {part.component} does not take an image of {height}x{width} pixels: {why}; change "
            "data.size or the part's options, or mend the plugin"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


def _check_training(module: nn.Module, training: Fit, stage: str) -> None:
    """Build the parts that a module is trained with, and load the weights that it starts from."""
    settings = training.settings
    load_start(module, training, stage)
    check_patterns(module, settings.groups, settings.freeze, stage)
    build_optimizer(module, module, training)
    training.schedule.build(settings.steps)
    for step in training.augment:
        step.build()


def _sizes(recipe: Recipe) -> list[tuple[int, int]]:
    """Give each size (height, width) that the network sees: a share of an image at the scale of training."""
    (height, width), crop = recipe.data.engine["size"], recipe.data.engine["crop"]
    shares = {crop, 1.0, *(protocol.view.region for protocol in recipe.protocols)}
    return sorted((max(1, round(height / crop * share)), max(1, round(width / crop * share))) for share in shares)
