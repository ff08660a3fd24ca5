"""Whether a recipe's parts can be built and fit each other, before any work."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cliffkit.components.isolate import explain, isolated
from cliffkit.data.splits import Roots, open_split
from cliffkit.errors import PartError, Stopped, UserError, cause
from cliffkit.method.assemble import assemble, build_embedding
from cliffkit.method.memory import Guard, check_images, check_network, image_sizes, memory_of
from cliffkit.method.network import DepthNetwork
from cliffkit.method.static import check_static
from cliffkit.recipe.fit import Fit
from cliffkit.recipe.part import Part, is_trained
from cliffkit.recipe.recipe import Recipe
from cliffkit.text import cut
from cliffkit.training.gradients import is_out_of_memory
from cliffkit.training.optimise import build_optimizer
from cliffkit.training.parameters import check_patterns
from cliffkit.training.speed import check_speed
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
    embedding, train = recipe.embedding, recipe.train
    if device is not None:
        check_speed(train.depth.settings.speed, device, world)
    scene_types = len(open_split(recipe, "train", roots).scene_types)
    devices = [torch.device("cpu"), *([device] if device is not None and device.type == "cuda" else [])]

    check_images(recipe, devices, world)
    with Guard(memory_of(devices[0])):
        modules = assemble(recipe, scene_types)
    network = modules.network.eval()
    check_network(recipe, network, devices)
    for height, width in image_sizes(recipe):
        _show(recipe, network, torch.zeros(1, 3, height, width))

    _check_training(network, train.depth, "depth")
    if embedding is not None and train.embedding is not None and is_trained(embedding):
        _check_training(build_embedding(embedding, scene_types, recipe.generator_seed), train.embedding, "embedding")
    if train.depth.settings.speed != "eager":
        check_static(recipe, modules)


def _show(recipe: Recipe, network: DepthNetwork, image: Tensor) -> None:
    """Show the network an image. Raises UserError, or PartError, that names the part which raised."""
    names = [next(iter(recipe.model))]
    hooks = [
        part.register_forward_pre_hook(lambda module, inputs, kind=kind: names.append(kind))
        for kind, part in network.parts()
    ]
    try:
        with torch.inference_mode():
            network(image)
    except (UserError, KeyboardInterrupt, Stopped):
        raise
    except BaseException as error:  # whatever a stranger's part raises
        raise _refusal(recipe.model[names[-1]], image, error) from error
    finally:
        for hook in hooks:
            hook.remove()


def _refusal(part: Part, image: Tensor, error: BaseException) -> UserError:
    """Say that a part raised when it was shown an image, and who can mend that.

    A ValueError, and too little memory, are for the user to mend. Any other exception is a fault of the plugin.
    """
    shown = f"an image of {image.shape[-2]}x{image.shape[-1]} pixels"
    if is_out_of_memory(error):
        return UserError(
            f"{part.place}: {shown} takes more memory than there is; lower data.size or the part's options"
        )
    if isinstance(error, ValueError):
        why = cut(str(error).partition("\n")[0], 300)
        remedy = "change data.size or the part's options"
        return UserError(f"{part.place}: {part.component} does not take {shown}: {why}; {remedy}")
    why = explain(error, [part.component])
    if why == cause(error):  # raised by other code, as by the engine for an output that is no tensor
        why = f"{why}, in {part.component} or with its output; mend or uninstall the plugin"
    return PartError(f"{part.place}: fails on {shown}: {why}")


def _check_training(module: nn.Module, training: Fit, stage: str) -> None:
    """Build the parts that a module is trained with, and load the weights that it starts from."""
    settings = training.settings
    load_start(module, training, stage)
    check_patterns(module, settings.groups, settings.freeze, stage)
    build_optimizer(module, module, training)
    training.schedule.build(settings.steps)
    for step in training.augment:
        step.build()
