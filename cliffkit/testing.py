"""Conformance checks for plugin authors: one per kind of component, to be called from a test.

    def test_mine():
        check_fusion(MyFusion, width=3)

Each builds the component as the engine would, with the options given, and raises AssertionError with what was seen and
what the contract in `cliffkit.interfaces` asks for. No network, no data, no GPU: devices are checked on fake tensors.
"""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

from cliffkit.errors import UserError
from cliffkit.interfaces import Backbone, Dataset, Embedding, Executor, Fusion, Loss, Place, Pyramid, Sample

__all__ = [
    "check_backbone",
    "check_dataset",
    "check_embedding",
    "check_executor",
    "check_fusion",
    "check_loss",
    "check_pyramid",
]

Module = TypeVar("Module", bound=nn.Module)
Call = Callable[[Any, Sequence[Tensor]], list[Tensor]]
"""Run a component on its input tensors: what differs between the kinds in how `forward` takes and gives them."""


def check_backbone(factory: Callable[..., Backbone], **options: Any) -> None:
    """Check a backbone: `factory(**options)`."""
    with _seeded():
        backbone = _build(lambda: factory(**options), Backbone)
        what, strides = type(backbone).__name__, list(backbone.strides)
        _expect(
            len(backbone.channels) == len(strides) >= 2,
            f"{what}: channels {list(backbone.channels)} and strides {strides} must name the same levels, at least two",
        )
        _expect(
            strides == sorted(strides) and all(max(strides) % stride == 0 for stride in strides),
            f"{what}: strides are {strides}; they must run from fine to coarse and divide the coarsest",
        )
        for rows, columns in ((2, 3), (3, 5)):
            height, width = rows * max(strides), columns * max(strides)
            levels = backbone(torch.rand(2, 3, height, width))
            _expect_shapes(
                f"{what} on {height}x{width}",
                levels,
                [(2, c, height // s, width // s) for c, s in zip(backbone.channels, strides, strict=True)],
            )
        image = torch.rand(2, 3, 2 * max(strides), 3 * max(strides))
        _check_module(lambda: factory(**options), lambda module, inputs: list(module(inputs[0])), [image])


def check_pyramid(factory: Callable[..., Pyramid], **options: Any) -> None:
    """Check a pyramid: `factory(channels, strides, **options)`."""
    cases: list[tuple[list[int], list[int], list[tuple[int, int]]]] = [
        ([6, 8], [2, 4], [(12, 16), (6, 8)]),
        ([6, 8, 10, 12], [4, 8, 16, 32], [(29, 38), (15, 19), (8, 10), (4, 5)]),  # odd: as at 116x152
        ([8, 8, 8, 8], [16, 16, 16, 16], [(4, 5)] * 4),  # as vision transformers have it
    ]
    with _seeded():
        for channels, strides, sizes in cases:

            def make(channels: list[int] = channels, strides: list[int] = strides) -> Pyramid:
                return factory(channels, strides, **options)

            pyramid = _build(make, Pyramid)
            levels = [torch.randn(2, c, *size) for c, size in zip(channels, sizes, strict=True)]
            _expect_shapes(
                f"{type(pyramid).__name__} on levels of {channels} channels and sizes {sizes}",
                pyramid(list(levels)),
                [(2, pyramid.channels, *size) for size in sizes],
            )
            _check_module(make, lambda module, inputs: list(module(list(inputs))), levels)
            _expect_training(type(pyramid).__name__, make(), [levels])


def check_fusion(factory: Callable[..., Fusion], **options: Any) -> None:
    """Check a fusion: `factory(channels, **options)`."""
    channels = 8

    def make() -> Fusion:
        return factory(channels, **options)

    with _seeded():
        what = type(_build(make, Fusion)).__name__
        for low_size, high_size in (((12, 16), (6, 8)), ((29, 37), (15, 19)), ((4, 5), (4, 5)), ((2, 3), (1, 2))):
            low, high = torch.randn(2, channels, *low_size), torch.randn(2, channels, *high_size)
            _expect_shapes(f"{what} of {high_size} into {low_size}", [make()(low, high)], [(2, channels, *low_size)])
            _check_module(make, lambda module, inputs: [module(*inputs)], [low, high])
            _expect_training(what, make(), [low, high])


def check_embedding(factory: Callable[..., Embedding], *, scene_types: int = 4, **options: Any) -> None:
    """Check an embedding generator: `factory(scene_types, **options)`."""

    def make() -> Embedding:
        return factory(scene_types, **options)

    with _seeded():
        embedding = _build(make, Embedding)
        what = type(embedding).__name__
        for height, width in ((24, 32), (23, 29)):
            depth = _sample(height, width, scene_types).filled_depth()
            levels = embedding(depth)
            _expect(
                len(levels) == embedding.levels,
                f"{what}: forward gives {len(levels)} levels, and `levels` says {embedding.levels}",
            )
            for k, level in enumerate(levels):
                _expect(
                    level.ndim == 4 and level.shape[0] == len(depth),
                    f"{what} on {height}x{width}: level {k} has shape {tuple(level.shape)}, expected 4 axes",
                )
            # The objective reaches the parameters that these features do not, such as a classifier's.
            _check_module(make, lambda module, inputs: list(module(inputs[0])), [depth], parameters=False)
            _check_objective(make, _sample(height, width, scene_types))


def check_loss(factory: Callable[..., Loss], **options: Any) -> None:
    """Check a loss: `factory(**options)`."""
    with _seeded():
        loss = _build(lambda: factory(**options), Loss)
        what = type(loss).__name__
        for height, width in ((24, 32), (17, 23)):
            sample = _sample(height, width, scene_types=1)
            truth = sample.filled_depth()
            prediction = truth + 0.5 + torch.rand_like(truth)
            _check_loss_holes(what, loss, prediction, sample)
            value = loss(prediction, sample)
            perfect = loss(truth, sample)
            _expect(
                bool(perfect < value),
                f"{what}: {perfect:g} where the prediction is perfect and {value:g} where it is 0.5 to "
                "1.5 m off; the perfect one must be less",
            )
            perfect_slope = _slope(loss, truth, sample)
            _expect(bool(perfect_slope.isfinite().all()), f"{what}: the gradient at a perfect prediction is not finite")
            twice = loss(_twice(prediction), Sample(*map(_twice, sample)))
            _expect(
                torch.allclose(value, twice, rtol=1e-4),
                f"{what}: a batch repeated gives {twice:g} instead of {value:g}; a loss is a mean",
            )
        _check_device(what, lambda: [_to_fake_cuda(loss)(_fake(prediction), Sample(*map(_fake, sample)))])


def check_dataset(make: Callable[[str], Dataset]) -> None:
    """Check a data set: `make(split)` for the splits train, val and test, the root bound already."""
    splits = {split: make(split) for split in ("train", "val", "test")}
    names: dict[str, str] = {}
    fingerprints: dict[str, str] = {}
    for split, data in splits.items():
        what = f"{type(data).__name__} {split}"
        _expect(isinstance(data, Dataset), f"{what}: is no cliffkit.interfaces.Dataset")
        _expect(len(data) > 0, f"{what}: holds no image")
        _expect(
            list(data.scene_types) == list(splits["train"].scene_types),
            f"{what}: scene types are {list(data.scene_types)}, in train {list(splits['train'].scene_types)}",
        )
        for index in sorted({0, len(data) // 2, len(data) - 1}):
            _check_sample(f"{what}[{index}]", data[index], len(data.scene_types))
        for index in range(len(data)):
            name = data.name(index)
            _expect(isinstance(name, str) and bool(name), f"{what}: name({index}) is {name!r}, expected a string")
            _expect(name not in names, f"{what}: name({index}) is '{name}', as is an image of {names.get(name)}")
            names[name] = split
        again = make(split)
        fingerprint = data.fingerprint()
        _expect(
            isinstance(fingerprint, str) and fingerprint == again.fingerprint(),
            f"{what}: two instances have the fingerprints {fingerprint!r} and {again.fingerprint()!r}",
        )
        _expect(
            fingerprint not in fingerprints, f"{what}: the fingerprint is also that of {fingerprints.get(fingerprint)}"
        )
        fingerprints[fingerprint] = split
        try:
            unpickled = pickle.loads(pickle.dumps(data))
        except Exception as error:  # whatever its parts raise
            raise AssertionError(f"{what}: cannot be pickled, as workers need it: {error}") from error
        for which, copy in (("read again", data), ("built again", again), ("unpickled", unpickled)):
            _expect(_same(copy[0], data[0]), f"{what}[0]: differs when {which}")


def check_executor(make: Callable[[], Executor]) -> None:
    """Check an executor: `make()` builds it, for this machine's processor and with its workers bound already.

    Work is done in other processes, as many pieces at once as there are slots; what it raises comes back; a process
    that dies fails its own work and no other. Takes as long as starting and killing a few processes.
    """
    executor = make()
    what = type(executor).__name__
    try:
        _expect(isinstance(executor, Executor), f"{what}: is no cliffkit.interfaces.Executor")
        _expect(executor.slots in executor.choices, f"{what}: {executor.slots} slots, choices {executor.choices}")
        _expect(isinstance(executor.place, Place), f"{what}: place is {executor.place!r}")
        for slots in executor.choices:
            executor.resize(slots)
            _expect(executor.slots == slots, f"{what}: {executor.slots} slots after resize({slots})")
            numbers = list(range(slots))
            futures = [executor.submit(_where, number) for number in numbers]
            done = [future.result() for future in futures]
            _expect([number for number, _, _ in done] == numbers, f"{what}: results are not those of the work given")
            _expect(os.getpid() not in {process for _, process, _ in done}, f"{what}: works in the caller's process")
            places = [place for _, _, place in done]
            _expect(all(isinstance(place, Place) for place in places), f"{what}: work is given {places}")
        error = executor.submit(_refuse, "no").exception()
        _expect(isinstance(error, UserError) and str(error) == "no", f"{what}: work raised UserError, came {error!r}")
        if executor.slots > 1:
            beside = executor.submit(_where, 1)
        death = executor.submit(_die, None).exception()
        _expect(isinstance(death, UserError), f"{what}: a process died, the future raised {death!r}")
        if executor.slots > 1:
            _expect(beside.result()[0] == 1, f"{what}: a process died and took the work of another with it")
        _expect(executor.submit(_where, 2).result()[0] == 2, f"{what}: does no more work after a process died")
    finally:
        executor.close()


def _where(number: int, place: Place) -> tuple[int, int, Place]:
    return number, os.getpid(), place


def _refuse(reason: str, place: Place) -> None:
    raise UserError(reason)


def _die(nothing: None, place: Place) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _check_module(make: Callable[[], nn.Module], call: Call, inputs: list[Tensor], parameters: bool = True) -> None:
    """What holds for every module: finite, differentiable, reproducible, storable, and not bound to a device."""
    module = make()
    what = type(module).__name__
    _check_gradients(what, module, call, inputs, parameters)

    module.eval()
    with torch.no_grad():
        before = [x.clone() for x in inputs]
        outputs = call(module, inputs)
        _expect(all(map(torch.equal, inputs, before)), f"{what}: forward changes its input in place")
        again = call(module, inputs)
        _expect(all(map(torch.equal, outputs, again)), f"{what}: two evaluations of the same input differ")
        for index in range(len(inputs[0])):
            alone = call(module, [x[index : index + 1] for x in inputs])
            _expect(
                all(_close(a, b[index : index + 1]) for a, b in zip(alone, outputs, strict=True)),
                f"{what}: in evaluation mode the output for an image depends on the rest of its batch",
            )
        restored = make()
        restored.load_state_dict(module.state_dict())
        _expect(
            all(map(torch.equal, outputs, call(restored.eval(), inputs))),
            f"{what}: a second instance with the state of the first gives other outputs; keep state in parameters "
            "or buffers",
        )
    _check_device(what, lambda: call(_to_fake_cuda(restored), [_fake(x) for x in inputs]))


def _check_gradients(what: str, module: nn.Module, call: Call, inputs: list[Tensor], parameters: bool) -> None:
    """Every output is reached from some input, every input and every trainable parameter reaches some output."""
    _unsettle(module)
    leaves = [x.clone().requires_grad_() for x in inputs]
    outputs = call(module.train(), leaves)
    for k, output in enumerate(outputs):
        _expect(bool(output.isfinite().all()), f"{what}: output {k} is not finite")
        _expect(output.dtype == torch.float32, f"{what}: output {k} is {output.dtype}, expected torch.float32")
        slopes = torch.autograd.grad(_project(output), leaves, retain_graph=True, allow_unused=True)
        _expect(any(_moves(slope) for slope in slopes), f"{what}: output {k} depends on no input")
    if not outputs:
        return
    total = torch.stack([_project(output) for output in outputs]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    for k, leaf in enumerate(leaves):
        _expect(_moves(leaf.grad), f"{what}: no gradient reaches input {k}; no output depends on it")
    if parameters:
        _check_parameter_gradients(what, module)


def _check_device(what: str, run: Callable[[], list[Tensor]]) -> None:
    """With everything on a (fake) GPU the outputs are there too, in float32."""
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            outputs = run()
    except (DataDependentOutputException, DynamicOutputShapeException):
        return  # reads values, which fake tensors do not have: nothing can be said without a GPU
    except RuntimeError as error:
        raise AssertionError(f"{what}: with everything on cuda: {error}") from error
    for k, output in enumerate(outputs):
        _expect(
            output.device.type == "cuda" and output.dtype == torch.float32,
            f"{what}: with everything on cuda, output {k} is {output.dtype} on {output.device}; create tensors on the "
            "device of the input",
        )


def _unsettle(module: nn.Module) -> None:
    """Move every parameter a little: behind one that starts at 0, nothing would be seen to depend on anything."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))


def _check_parameter_gradients(what: str, module: nn.Module) -> None:
    still = [name for name, p in module.named_parameters() if p.requires_grad and not _moves(p.grad)]
    _expect(not still, f"{what}: no gradient reaches {', '.join(still)}; leave unused parameters out or freeze them")


def _check_objective(make: Callable[[], Embedding], sample: Sample) -> None:
    """What stage `embedding` minimises: a float32 scalar that trains every parameter and sees no invalid pixel."""
    embedding = make().train()
    what = f"{type(embedding).__name__}.objective"
    _unsettle(embedding)
    torch.manual_seed(1)  # for dropout
    value = embedding.objective(sample)
    _expect_scalar(what, value)
    if embedding.trained:
        value.backward()  # type: ignore[no-untyped-call]
        _check_parameter_gradients(what, embedding)
    else:
        _expect(
            not list(embedding.parameters()),
            f"{what}: the generator has parameters, and `trained` says that it has none",
        )
    slopes = [p.grad for p in embedding.parameters()]
    for junk in (torch.nan, torch.inf, 1e6):
        twin = make().train()
        twin.load_state_dict(embedding.state_dict())
        torch.manual_seed(1)
        other = twin.objective(_spoil(sample, junk))
        _expect(torch.equal(value, other), f"{what}: {value:g} becomes {other:g} with {junk} in invalid pixels")
        if embedding.trained:
            other.backward()  # type: ignore[no-untyped-call]
            _expect(
                all(_equal(p.grad, slope) for p, slope in zip(twin.parameters(), slopes, strict=True)),
                f"{what}: a gradient changes with {junk} in invalid pixels",
            )
    _check_device(what, lambda: [_to_fake_cuda(twin).objective(Sample(*map(_fake, sample)))])
    unlabelled = sample._replace(scene=torch.full_like(sample.scene, -1))
    for case, bare in (
        ("no image has a scene type", unlabelled),
        ("no pixel is valid", sample._replace(valid=torch.zeros_like(sample.valid))),
    ):
        _expect(bool(embedding.objective(bare).isfinite()), f"{what}: is not finite where {case}")


def _check_loss_holes(what: str, loss: Loss, prediction: Tensor, sample: Sample) -> None:
    """Invalid pixels change neither value nor gradient; without a valid pixel both are 0."""
    value = loss(prediction, sample)
    _expect_scalar(what, value)
    slope = _slope(loss, prediction, sample)
    _expect(_moves(slope), f"{what}: no gradient reaches the prediction")
    _expect(not slope[~sample.valid].any(), f"{what}: the gradient in invalid pixels is not 0")
    for junk in (torch.nan, torch.inf, -torch.inf, 1e6):
        spoilt_sample = _spoil(sample, junk)
        spoilt = torch.where(sample.valid, prediction, torch.full_like(prediction, junk))
        other = loss(spoilt, spoilt_sample)
        _expect(
            torch.equal(value, other),
            f"{what}: {value:g} becomes {other:g} with {junk} in invalid pixels; mask before arithmetic",
        )
        _expect(
            torch.equal(slope, _slope(loss, spoilt, spoilt_sample)),
            f"{what}: the gradient changes with {junk} in invalid pixels; mask before arithmetic, not after",
        )
    nothing = sample._replace(valid=torch.zeros_like(sample.valid))
    _expect(
        float(loss(prediction, nothing)) == 0,
        f"{what}: {loss(prediction, nothing):g} where no pixel is valid, expected 0",
    )
    _expect(
        not _slope(loss, prediction, nothing).any(),
        f"{what}: the gradient is not 0 where no pixel is valid",
    )


def _check_sample(what: str, sample: Sample, scene_types: int) -> None:
    _expect(isinstance(sample, Sample), f"{what}: is a {type(sample).__name__}, expected a Sample")
    height, width = sample.image.shape[-2:]
    for field, tensor, shape, dtype in (
        ("image", sample.image, (3, height, width), torch.uint8),
        ("depth", sample.depth, (1, height, width), torch.float32),
        ("valid", sample.valid, (1, height, width), torch.bool),
        ("scene", sample.scene, (), torch.int64),
    ):
        _expect(
            tuple(tensor.shape) == shape and tensor.dtype == dtype,
            f"{what}: {field} is {tuple(tensor.shape)} {tensor.dtype}, expected {shape} {dtype}",
        )
    depth = sample.depth[sample.valid]
    _expect(bool((depth.isfinite() & (depth > 0)).all()), f"{what}: a valid depth is not a positive number of metres")
    _expect(
        -1 <= int(sample.scene) < scene_types,
        f"{what}: scene is {int(sample.scene)}, expected an index into {scene_types} scene types, or -1",
    )


@contextmanager
def _seeded() -> Iterator[None]:
    """The same random numbers at every call, and none taken from the caller's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _build(make: Callable[[], Any], kind: type) -> Any:
    component = make()
    _expect(
        isinstance(component, kind),
        f"{type(component).__name__}: is no cliffkit.interfaces.{kind.__name__}; subclass it",
    )
    return component


def _sample(height: int, width: int, scene_types: int) -> Sample:
    """Three images of 1 to 5 m, a quarter of their pixels and one block invalid; the last has no scene type."""
    shape = (3, 1, height, width)
    valid = torch.rand(shape) < 0.75
    valid[0, :, :12, :14] = False
    return Sample(
        image=torch.randint(0, 256, (3, 3, height, width), dtype=torch.uint8),
        depth=1 + 4 * torch.rand(shape),
        valid=valid,
        scene=torch.tensor([0, scene_types - 1, -1]),
    )


def _spoil(sample: Sample, junk: float) -> Sample:
    return sample._replace(depth=torch.where(sample.valid, sample.depth, torch.full_like(sample.depth, junk)))


def _to_fake_cuda(module: Module) -> Module:
    """Replace every parameter and buffer by a fake one on `cuda`; inside FakeTensorMode.

    The module itself is built outside of it: some of timm's read tensors while they are built.
    """
    for child in module.modules():
        for name, parameter in list(child.named_parameters(recurse=False)):
            setattr(child, name, nn.Parameter(_fake(parameter), requires_grad=parameter.requires_grad))
        for name, buffer in list(child.named_buffers(recurse=False)):
            setattr(child, name, _fake(buffer))
    return module


def _fake(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")


def _slope(loss: Loss, prediction: Tensor, sample: Sample) -> Tensor:
    """Gradient of a loss with respect to the prediction; 0 where it does not depend on it."""
    prediction = prediction.clone().requires_grad_()
    value = loss(prediction, sample)
    if not value.requires_grad:
        return torch.zeros_like(prediction)
    (slope,) = torch.autograd.grad(value, prediction, allow_unused=True)
    return torch.zeros_like(prediction) if slope is None else slope


def _project(output: Tensor) -> Tensor:
    """A random linear form: the plain sum of a normalised output has no gradient."""
    return (output * torch.randn_like(output)).sum()


def _moves(slope: Tensor | None) -> bool:
    return slope is not None and bool(slope.isfinite().all()) and bool(slope.any())


def _twice(tensor: Tensor) -> Tensor:
    return torch.cat([tensor, tensor])


def _equal(a: Tensor | None, b: Tensor | None) -> bool:
    return torch.equal(a, b) if a is not None and b is not None else a is b


def _close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() <= 1e-4 * b.abs().max().clamp(min=1))


def _same(a: Sample, b: Sample) -> bool:
    """Equal to the bit, NaN included."""
    return all(torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in zip(a, b, strict=True))


def _expect_training(what: str, module: nn.Module, inputs: Sequence[Tensor | list[Tensor]]) -> None:
    """Features as training has them: channels_last, and bfloat16 from layers that came before."""

    def lay_out(x: Tensor) -> Tensor:
        return x.to(torch.bfloat16, memory_format=torch.channels_last)

    laid_out = [lay_out(x) if isinstance(x, Tensor) else [lay_out(level) for level in x] for x in inputs]
    try:
        with torch.autocast("cpu", torch.bfloat16):
            module(*laid_out)
    except RuntimeError as error:
        raise AssertionError(
            f"{what}: cannot take bfloat16 features in channels_last memory, as training has them: {error}; use "
            "reshape or flatten instead of view, and let no tensor of another type meet them"
        ) from error


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _expect_shapes(what: str, outputs: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]) -> None:
    seen = [tuple(output.shape) for output in outputs]
    _expect(seen == list(shapes), f"{what}: outputs have shapes {seen}, expected {list(shapes)}")


def _expect_scalar(what: str, value: Tensor) -> None:
    _expect(
        value.shape == () and value.dtype == torch.float32 and bool(value.isfinite()),
        f"{what}: gives {tuple(value.shape)} {value.dtype}, finite: {bool(value.isfinite().all())}; "
        "expected a finite float32 scalar",
    )
