"""Whether a recipe's parts can be compiled or recorded as `train.depth.speed` asks, before any training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from cliffkit.errors import UserError, cause
from cliffkit.interfaces import Batch
from cliffkit.method.assemble import Modules
from cliffkit.method.network import DepthNetwork
from cliffkit.method.objectives import DepthObjective
from cliffkit.recipe.recipe import Recipe
from cliffkit.testing.common import to_fake_cuda
from cliffkit.text import cut

IMAGES = 2
"""Images of the batch that is tried."""


def check_static(recipe: Recipe, modules: Modules) -> None:
    """Raise UserError that names the part which the recipe's speed does not allow; nothing is computed on a GPU.

    The modules cannot be used after it. A part that is compiled must be one graph to torch.compile. A step that is
    recorded must run without values: no tensor's content may reach the host, and none may come from there.
    """
    speed = recipe.train.depth.settings.speed
    height, width = recipe.data.engine["size"]
    if "compile" in speed:
        _check_compiled(recipe, modules.network, torch.rand(IMAGES, 3, height, width))
    if "graphs" in speed:
        _check_recorded(recipe, modules, height, width)


def _check_compiled(recipe: Recipe, network: DepthNetwork, image: Tensor) -> None:
    """Trace each part of a network on the inputs that an image gives it."""
    given: list[tuple[str, nn.Module, tuple[Any, ...]]] = []
    with _watched(network, given), torch.no_grad():
        network(image)
    for kind, part, inputs in given:
        torch.compiler.reset()
        try:
            torch.compile(part, backend="eager", fullgraph=True, dynamic=False)(*inputs)
        except Exception as error:  # whatever the compiler raises
            raise _refusal(recipe, kind, "cannot be compiled as one graph", error) from error
        finally:
            torch.compiler.reset()


def _check_recorded(recipe: Recipe, modules: Modules, height: int, width: int) -> None:
    """Compute a step's terms on tensors of a GPU that have no values."""
    objective = DepthObjective(modules, nullcontext)
    reached = [next(iter(recipe.model))]
    watched = [*modules.network.parts(), *((f"loss {name}", loss) for name, _, loss in modules.losses)]
    if modules.hierarchical is not None:
        watched.append(("embedding", modules.hierarchical))
    for kind, part in watched:
        part.register_forward_pre_hook(lambda module, inputs, kind=kind: reached.append(kind))
    with FakeTensorMode(), torch.device("cuda"):
        to_fake_cuda(objective)
        if modules.hierarchical is not None:
            to_fake_cuda(modules.hierarchical.embedding)
        depth = torch.empty(IMAGES, 1, height, width)
        scene = torch.zeros(IMAGES, dtype=torch.int64)
        batch = Batch(torch.empty(IMAGES, 3, height, width), depth, depth > 0, scene, torch.empty(IMAGES, 4))
        try:
            with _NoUploads():  # type: ignore[no-untyped-call]
                objective(batch, torch.zeros((), dtype=torch.int64))  # no gradient: autograd wants the device itself
        except Exception as error:  # whatever a part raises without values
            raise _refusal(recipe, reached[-1], "cannot be recorded as a CUDA graph", error) from error


class _NoUploads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses a copy from the processor to a GPU: a recorded step cannot make one, and any other step waits for it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_):
            source = args[-1] if func.overloadpacket is torch.ops.aten.copy_ else args[0]
            if isinstance(source, Tensor) and source.device.type == "cpu" and result.device.type == "cuda":
                raise RuntimeError(
                    "a tensor is copied from the processor to the GPU, as by torch.tensor([...], device=...); make it "
                    "there, as torch.full does"
                )
        return result


@contextmanager
def _watched(network: DepthNetwork, given: list[tuple[str, nn.Module, tuple[Any, ...]]]) -> Iterator[None]:
    """Keep what each part of a network is called with."""
    hooks = [
        part.register_forward_pre_hook(lambda module, inputs, kind=kind: given.append((kind, module, inputs)))
        for kind, part in network.parts()
    ]
    yield
    for hook in hooks:
        hook.remove()


def _refusal(recipe: Recipe, kind: str, what: str, error: BaseException) -> UserError:
    part = recipe.model.get(kind)
    subject = f"{part.place}: {part.component}" if part is not None else kind
    why = cut(cause(error).partition("\n")[0], 300)
    speed = recipe.train.depth.settings.speed
    return UserError(f"{subject} {what}, as train.depth.speed '{speed}' needs it: {why}; use eager, or another part")
