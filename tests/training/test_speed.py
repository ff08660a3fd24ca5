"""The forms in which a step is computed, as far as a CPU can try them: traced, and recorded by a stand-in."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cliffkit.data.pack import Pack
from cliffkit.errors import UserError
from cliffkit.events import Emit, Event, Notice
from cliffkit.interfaces import Batch
from cliffkit.method.hierarchical import HierarchicalEmbeddingLoss
from cliffkit.training import speed
from cliffkit.training.fit import fit
from cliffkit.training.job import FitJob, Goal
from cliffkit.training.speed import Graphed, check_speed
from cliffkit_embeddings.heg_s import HegS

from ..engine_fixtures import Tiny, Toy, ToyObjective, cpu, packed, settings, toy


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return packed(Tiny(), tmp_path_factory.mktemp("speed") / "pack")


@pytest.mark.parametrize(
    ("form", "device", "world", "message"),
    [
        (
            "graphs",
            "cpu",
            1,
            r"train\.depth\.speed: 'graphs' needs a CUDA GPU, and this run computes on cpu; use eager",
        ),
        ("compile+graphs", "mps", 1, r"'compile\+graphs' needs a CUDA GPU"),
        ("graphs", "cuda", 2, r"'graphs' is for one process, and these are 2; use eager"),
        ("compile", "cuda", 2, r"'compile' is for one process on a GPU, and these are 2: torch cannot compile batch"),
    ],
)
def test_a_form_that_a_device_does_not_allow_is_refused(form: Any, device: str, world: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_speed(form, torch.device(device), world)
    check_speed("compile", torch.device("cpu"), 2)
    check_speed("compile", torch.device(device), 1)
    check_speed("graphs", torch.device("cuda"), 1)


# compiled


def trained(
    net: Toy,
    objective: nn.Module,
    pack: Pack,
    folder: Path,
    changes: Mapping[str, Any] = MappingProxyType({}),
    emit: Emit = lambda event: None,
    **options: Any,
) -> dict[str, Tensor]:
    """The toy's weights after a fit, validated in the middle; `changes` are those of the training's settings."""
    folder.mkdir()
    seen: list[Tensor] = []

    def validate() -> dict[str, float]:
        with torch.no_grad():
            seen.append(net(torch.zeros(1, 3, 5, 7)))  # another size than in training
        return {"score": 1.0 / len(seen)}

    fitting, goal = settings(steps=4, validate_every=2, **changes), Goal("score", False, validate)
    fit(FitJob(net, objective, pack, fitting, goal, "depth", 3, folder, cpu(), emit, **options))
    return {name: value.clone() for name, value in net.state_dict().items()}


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of the tracing itself, on a tensor inside the network
def test_compiled_parts_train_to_the_same_bits_where_the_compiler_changes_nothing(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced and run as it is: weights keep their names, and validation at other sizes is not compiled."""
    shapes: list[tuple[int, ...]] = []

    def traced(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        shapes.extend(tuple(tensor.shape) for tensor in inputs if tensor.ndim == 4 and tensor.shape[1] in (3, 6))
        return graph.forward

    monkeypatch.setattr(speed, "COMPILER", traced)
    expected = trained(*toy(), pack, tmp_path / "eager")
    net, objective = toy()
    regions = [("network", net)]  # torch 2.10 compiles no module of its own by itself, as a convolution
    found = trained(net, objective, pack, tmp_path / "compiled", speed="compile", regions=regions)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    batch = [shape for shape in shapes if shape[0] == 4]
    assert batch, "the parts were compiled"
    assert not [shape for shape in shapes if shape[-2:] == (5, 7)], "validation is not compiled"


def test_a_process_compiles_one_network_after_another_and_passes_of_many_sizes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Torch keeps eight compiled forms of a method, whatever module it is of, and refuses the ninth."""
    monkeypatch.setattr(speed, "COMPILER", "eager")
    for sizes in (range(1, 41), range(41, 81)):
        net, _ = toy()
        speed.compile_parts([("network", net)])
        for images in sizes:
            assert net(torch.zeros(images, 3, 2, 2)).shape == (images, 1, 2, 2)


class Asking(Toy):
    """A network that asks for a value."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image * (2.0 if float(image.sum()) > 0 else 1.0))


def test_a_part_that_the_compiler_refuses_is_the_users_to_mend(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "COMPILER", "eager")
    net = Asking()
    with pytest.raises(UserError, match=r"stage depth: train\.depth\.speed: 'compile' cannot compile .*; use eager"):
        trained(net, ToyObjective(net), pack, tmp_path / "fit", speed="compile", regions=[("network", net)])


def test_other_faults_than_the_compilers_stay_what_they_are() -> None:
    with pytest.raises(ZeroDivisionError), speed.compiling("compile", "depth"):
        raise ZeroDivisionError


# recorded


class Norm(nn.Module):
    """Two terms, one of which grows with the step, of a network with running statistics."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.BatchNorm2d(1))
        self.hierarchical = HierarchicalEmbeddingLoss(HegS(3), (10, 15), warmup_steps=4)

    def forward(self, batch: Batch, step: int | Tensor) -> dict[str, Tensor]:
        depth = self.net(batch.image)
        error = torch.where(batch.valid, depth - batch.filled_depth(), 0).abs().mean()
        return {"l1": error * batch.extras["weight"].mean(), "embedding": self.hierarchical(depth, batch, step)}


def batch_of(images: int, seed: int) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    depth = 1 + torch.rand(images, 1, 12, 16, generator=draw)
    valid = torch.rand(images, 1, 12, 16, generator=draw) > 0.2
    image = torch.rand(images, 3, 12, 16, generator=draw)
    extras = {"weight": torch.rand(images, generator=draw)}
    return Batch(image, depth, valid, torch.zeros(images, dtype=torch.int64), torch.full((images, 4), 9.0), extras)


def replayed(module: nn.Module, inputs: tuple[Tensor, ...], allow_unused_input: bool) -> None:
    """As torch.cuda.make_graphed_callables on a processor: it computes where that replays.

    Three passes come before the recording, which move running statistics. Inputs, outputs and gradients lie in memory
    that each replay overwrites.
    """
    assert allow_unused_input
    assert all(not buffer.requires_grad for buffer in module.buffers())
    parameters, written = tuple(module.parameters()), module.forward

    def backward(outputs: tuple[Tensor, ...], gradients: tuple[Tensor, ...]) -> list[Tensor | None]:
        learnt = [parameter for parameter in parameters if parameter.requires_grad]
        found = iter(torch.autograd.grad(outputs, learnt, gradients, allow_unused=True))
        return [next(found) if parameter.requires_grad else None for parameter in parameters]

    for _ in range(3):
        outputs = module(*inputs)
        kept = backward(outputs, tuple(map(torch.ones_like, outputs)))
    terms = [output.detach().clone() for output in outputs]

    class Replay(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *arguments: Tensor) -> tuple[Tensor, ...]:
            for memory, argument in zip(inputs, arguments, strict=False):
                memory.copy_(argument)
            with torch.enable_grad():
                ctx.outputs = written(*inputs)
            for memory, output in zip(terms, ctx.outputs, strict=True):
                memory.copy_(output.detach())
            return tuple(memory.detach() for memory in terms)

        @staticmethod
        @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
        def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
            for memory, gradient in zip(kept, backward(ctx.outputs, gradients), strict=True):
                assert (memory is None) == (gradient is None)
                if memory is not None and gradient is not None:
                    memory.copy_(gradient)
            ours = [None if memory is None else memory.detach() for memory in kept]
            return (*(None for _ in inputs), *ours)

    def forward(*arguments: Tensor) -> Any:
        return Replay.apply(*arguments, *parameters)  # type: ignore[no-untyped-call]

    module.forward = forward  # type: ignore[method-assign]


def test_a_recorded_objective_gives_the_terms_and_gradients_of_the_written_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded: list[tuple[int, ...]] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], allow_unused_input: bool) -> None:
        recorded.append(tuple(inputs[1].shape))
        replayed(module, inputs, allow_unused_input)

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", record)
    plain, graphed = Norm(), Graphed(Norm())
    graphed.record(batch_of(4, 9))
    for step, images in enumerate((4, 4, 2, 4, 2, 4)):
        batch = batch_of(images, step)
        expected, found = plain(batch, step), graphed(batch, step)
        assert list(found) == list(expected)
        for name, term in expected.items():
            torch.testing.assert_close(found[name], term, rtol=1e-5, atol=1e-7)
        for terms, module in ((expected, plain), (found, graphed.objective)):
            module.zero_grad()
            torch.stack(list(terms.values())).sum().backward()
        for ours, theirs in zip(graphed.objective.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-6)
        for ours, theirs in zip(graphed.objective.buffers(), plain.buffers(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert recorded == [(4, 3, 12, 16)], "batches of another shape are computed as written"


@pytest.mark.parametrize(("batch", "micro"), [(4, None), (8, 2), (8, 3)])
def test_recorded_passes_train_as_written_ones_do_in_micro_batches_too(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, micro: int | None
) -> None:
    """Torch lets gradients of parameters lie in memory that the next replay overwrites (pytorch/pytorch#181723)."""
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", replayed)
    monkeypatch.setattr("cliffkit.training.running.check_speed", lambda *_: None)
    options = {"batch": batch, "micro_batch": micro}
    expected = trained(*toy(), pack, tmp_path / "eager", options)
    found = trained(*toy(), pack, tmp_path / "graphs", options, speed="graphs")
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_memory_that_ends_while_a_pass_is_recorded_halves_it(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[int] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], allow_unused_input: bool) -> None:
        recorded.append(len(inputs[1]))
        if len(inputs[1]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        replayed(module, inputs, allow_unused_input)

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", record)
    monkeypatch.setattr("cliffkit.training.running.check_speed", lambda *_: None)
    options = {"batch": 8}
    expected = trained(*toy(), pack, tmp_path / "eager", options)
    heard: list[Event] = []
    found = trained(*toy(), pack, tmp_path / "graphs", options, heard.append, speed="graphs")
    assert recorded == [8, 4, 2]
    assert [event.text.partition(",")[0] for event in heard if isinstance(event, Notice)] == [
        "out of memory at 8 images per forward pass; going on with 4",
        "out of memory at 4 images per forward pass; going on with 2",
    ]
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)


def test_what_was_recorded_is_free_after_the_fit(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's replay holds itself: memory of a GPU would wait for the collector of garbage."""
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", replayed)
    monkeypatch.setattr("cliffkit.training.running.check_speed", lambda *_: None)
    net, objective = toy()
    recorded = weakref.ref(objective)
    gc.collect()
    gc.disable()
    try:
        trained(net, objective, pack, tmp_path / "graphs", speed="graphs")
        del net, objective
        assert recorded() is None
    finally:
        gc.enable()


def test_graphs_are_refused_before_a_fit_on_a_cpu(pack: Pack, tmp_path: Path) -> None:
    net, objective = toy()
    goal = Goal("score", False, lambda: {"score": 1.0})
    job = FitJob(net, objective, pack, settings(steps=1), goal, "depth", 3, tmp_path, cpu(), lambda event: None)
    with pytest.raises(UserError, match="needs a CUDA GPU"):
        fit(replace(job, speed="graphs"))
