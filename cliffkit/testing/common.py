"""What the conformance checks share: expectations, and the rules that every module of a network keeps."""

from __future__ import annotations

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

Module = TypeVar("Module", bound=nn.Module)

Call = Callable[[Any, Sequence[Tensor]], list[Tensor]]
"""Run a component on its input tensors. Kinds differ in how `forward` takes and gives tensors."""


def check_module(make: Callable[[], nn.Module], call: Call, inputs: list[Tensor], parameters: bool = True) -> None:
    """Check what holds for every module: finite, differentiable, reproducible, storable, not bound to a device."""
    module = make()
    subject = type(module).__name__
    check_gradients(subject, module, call, inputs, parameters)

    module.eval()
    with torch.no_grad():
        before = [x.clone() for x in inputs]
        outputs = call(module, inputs)
        expect(all(map(torch.equal, inputs, before)), f"{subject}: forward changes its input in place")
        again = call(module, inputs)
        expect(all(map(torch.equal, outputs, again)), f"{subject}: two evaluations of the same input differ")
        for index in range(len(inputs[0])):
            alone = call(module, [x[index : index + 1] for x in inputs])
            expect(
                all(close(a, b[index : index + 1]) for a, b in zip(alone, outputs, strict=True)),
                f"{subject}: in evaluation mode the output for an image depends on the rest of its batch",
            )
        restored = make()
        restored.load_state_dict(module.state_dict())
        expect(
            all(map(torch.equal, outputs, call(restored.eval(), inputs))),
            f"{subject}: a second instance with the state of the first gives other outputs; keep state in parameters "
            "or buffers",
        )
    check_device(subject, lambda: call(to_fake_cuda(restored), [fake(x) for x in inputs]))


def check_gradients(subject: str, module: nn.Module, call: Call, inputs: list[Tensor], parameters: bool) -> None:
    """Check that every output depends on some input, and that every input and trainable parameter has an effect."""
    unsettle(module)
    leaves = [x.clone().requires_grad_() for x in inputs]
    outputs = call(module.train(), leaves)
    for k, output in enumerate(outputs):
        expect(bool(output.isfinite().all()), f"{subject}: output {k} is not finite")
        expect(output.dtype == torch.float32, f"{subject}: output {k} is {output.dtype}, expected torch.float32")
        slopes = torch.autograd.grad(project(output), leaves, retain_graph=True, allow_unused=True)
        expect(any(moves(slope) for slope in slopes), f"{subject}: output {k} depends on no input")
    if not outputs:
        return
    total = torch.stack([project(output) for output in outputs]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    for k, leaf in enumerate(leaves):
        expect(moves(leaf.grad), f"{subject}: no gradient reaches input {k}; no output depends on it")
    if parameters:
        check_parameter_gradients(subject, module)


def check_device(subject: str, run: Callable[[], list[Tensor]]) -> None:
    """Check that outputs are on the (fake) GPU where everything else is, in float32."""
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            outputs = run()
    except (DataDependentOutputException, DynamicOutputShapeException):
        return  # reads values, which fake tensors do not have: nothing can be said without a GPU
    except RuntimeError as error:
        raise AssertionError(f"{subject}: with everything on cuda: {error}") from error
    for k, output in enumerate(outputs):
        expect(
            output.device.type == "cuda" and output.dtype == torch.float32,
            f"{subject}: with everything on cuda, output {k} is {output.dtype} on {output.device}; create tensors on "
            "the device of the input",
        )


def unsettle(module: nn.Module) -> None:
    """Move every parameter a little. A parameter that starts at 0 would hide every dependence behind it."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))


def check_parameter_gradients(subject: str, module: nn.Module) -> None:
    """Check that every trainable parameter has a gradient."""
    still = [name for name, p in module.named_parameters() if p.requires_grad and not moves(p.grad)]
    expect(not still, f"{subject}: no gradient reaches {', '.join(still)}; leave unused parameters out or freeze them")


@contextmanager
def seeded() -> Iterator[None]:
    """Draw the same random numbers at every call, and take none from the caller's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def build(make: Callable[[], Any], kind: type) -> Any:
    """Build a component and check that it is of its kind."""
    component = make()
    expect(
        isinstance(component, kind),
        f"{type(component).__name__}: is no cliffkit.interfaces.{kind.__name__}; subclass it",
    )
    return component


def to_fake_cuda(module: Module) -> Module:
    """Replace every parameter and buffer by a fake one on `cuda`; inside FakeTensorMode.

    The module itself is built outside of it: some of timm's read tensors while they are built.
    """
    for child in module.modules():
        for name, parameter in list(child.named_parameters(recurse=False)):
            setattr(child, name, nn.Parameter(fake(parameter), requires_grad=parameter.requires_grad))
        for name, buffer in list(child.named_buffers(recurse=False)):
            setattr(child, name, fake(buffer))
    return module


def fake(tensor: Tensor) -> Tensor:
    """Make a tensor on `cuda` of the same shape and type; inside FakeTensorMode."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")


def project(output: Tensor) -> Tensor:
    """Apply a random linear form: the plain sum of a normalised output has no gradient."""
    return (output * torch.randn_like(output)).sum()


def moves(slope: Tensor | None) -> bool:
    """Say whether a gradient is there, finite and not zero everywhere."""
    return slope is not None and bool(slope.isfinite().all()) and bool(slope.any())


def twice(tensor: Tensor) -> Tensor:
    """Repeat a batch."""
    return torch.cat([tensor, tensor])


def equal(a: Tensor | None, b: Tensor | None) -> bool:
    """Say whether two gradients are equal, or both absent."""
    return torch.equal(a, b) if a is not None and b is not None else a is b


def close(a: Tensor, b: Tensor) -> bool:
    """Say whether two outputs are equal to 1e-4 of the largest."""
    return a.shape == b.shape and bool((a - b).abs().max() <= 1e-4 * b.abs().max().clamp(min=1))


def expect_training(subject: str, module: nn.Module, inputs: Sequence[Tensor | list[Tensor]]) -> None:
    """Check that features as training has them are taken: channels_last, and bfloat16 from earlier layers."""

    def lay_out(x: Tensor) -> Tensor:
        return x.to(torch.bfloat16, memory_format=torch.channels_last)

    laid_out = [lay_out(x) if isinstance(x, Tensor) else [lay_out(level) for level in x] for x in inputs]
    try:
        with torch.autocast("cpu", torch.bfloat16):
            module(*laid_out)
    except RuntimeError as error:
        raise AssertionError(
            f"{subject}: cannot take bfloat16 features in channels_last memory, as training has them: {error}; use "
            "reshape or flatten instead of view, and let no tensor of another type meet them"
        ) from error


def expect(condition: bool, message: str) -> None:
    """Raise AssertionError with the message unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def expect_shapes(subject: str, outputs: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]) -> None:
    """Check the shapes of outputs."""
    seen = [tuple(output.shape) for output in outputs]
    expect(seen == list(shapes), f"{subject}: outputs have shapes {seen}, expected {list(shapes)}")


def expect_scalar(subject: str, value: Tensor) -> None:
    """Check that a value is a finite float32 scalar."""
    expect(
        value.shape == () and value.dtype == torch.float32 and bool(value.isfinite()),
        f"{subject}: gives {tuple(value.shape)} {value.dtype}, finite: {bool(value.isfinite().all())}; "
        "expected a finite float32 scalar",
    )
