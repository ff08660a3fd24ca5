"""Where a job computes and in which precision, each choice with its reason."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import is_initialized
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list
from torch.nn.attention import SDPBackend, sdpa_kernel

from cliffkit.errors import UserError
from cliffkit.store.artifacts import Environment

PACKAGES = ("cliffkit", "torch", "timm", "accelerate", "numpy", "scipy", "h5py", "safetensors")

PATIENCE = timedelta(days=7)
"""Time for which processes wait for the main one, which packs and scores alone. NCCL's own ten minutes end the run."""

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
"""Parameters of glibc's mallopt, from its malloc.h."""


@dataclass(frozen=True)
class Device:
    """A device of this process, and how accelerate spreads the work over processes."""

    accelerator: Accelerator
    dtype: torch.dtype
    """Precision of the network; losses, differences of embeddings and metrics are float32 or wider."""
    reason: str
    """Why this precision."""
    torch: torch.device
    """The torch device."""
    nondeterministic: list[str] = field(default_factory=list)
    """Operations that were seen to have no deterministic kernel."""

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision for a forward pass."""
        return torch.autocast(self.torch.type, self.dtype, enabled=self.dtype != torch.float32)

    def seed(self, number: int) -> None:
        """Seed what torch draws on this device, and on the CPU.

        `torch.manual_seed` asks every kind of device that torch knows: 1 % of a step of a small network.
        """
        if self.torch.type == "cpu":
            torch.default_generator.manual_seed(number)
        else:
            torch.manual_seed(number)

    def agree(self, value: Any) -> Any:
        """Give the main process's value to every process."""
        if self.accelerator.num_processes == 1:
            return value
        box = [value]
        broadcast_object_list(box)
        return box[0]

    @contextmanager
    def determinism(self, requested: bool) -> Iterator[None]:
        """Use deterministic kernels, on a GPU only if `requested`; operations without one are noted, not refused."""
        if self.torch.type != "cpu" and not requested:
            self._note(
                "kernels with atomic additions, such as the backward pass of bilinear upsampling, and cuDNN's choice "
                "of algorithms (train.deterministic: true switches to deterministic ones)"
            )
            yield
            return
        with _deterministic(self.torch), warnings.catch_warnings():
            warnings.filterwarnings("always", ".*deterministic")
            show = warnings.showwarning

            def note(message: Warning | str, *arguments: Any, **options: Any) -> None:
                if "deterministic" in str(message):
                    self._note(str(message))
                else:
                    show(message, *arguments, **options)

            warnings.showwarning = note
            yield

    def _note(self, operation: str) -> None:
        if operation not in self.nondeterministic:
            self.nondeterministic.append(operation)

    def environment(self) -> Environment:
        """Describe what this process computes with."""
        cuda = self.torch.type == "cuda"
        return Environment(
            device=torch.cuda.get_device_name(self.torch) if cuda else processor_name(),
            device_type=self.torch.type,
            processes=self.accelerator.num_processes,
            threads=torch.get_num_threads(),
            precision=str(self.dtype).removeprefix("torch."),
            precision_reason=self.reason,
            nondeterministic=tuple(self.nondeterministic),
            python=platform.python_version(),
            system=f"{platform.system()} {platform.release()}",
            versions={name: version(name) for name in PACKAGES},
        )


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    """Let torch take deterministic kernels, and warn of each operation that has none."""
    settings: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled(), settings.fill_uninitialized_memory
    warns_always = torch.is_warn_always_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    settings.fill_uninitialized_memory = False  # nothing here reads what it has not written
    try:
        if device.type == "cpu":
            yield
            return
        # Attention keeps its atomic additions where operations without a deterministic kernel are only warned of, and
        # warns once in a process: the next job of a worker would list nothing.
        torch.set_warn_always(True)
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        settings.fill_uninitialized_memory = before[1]
        torch.set_warn_always(warns_always)


@functools.cache
def processor_name() -> str:
    """Name the processor as Linux does, else as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def open_device(name: str, precision: str = "auto") -> Device:
    """Open `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; in one process several devices may be opened one after another.

    Raises UserError where torch does not see the device, and for a numbered one in processes of torchrun.
    """
    device, is_shared = _named(name), "LOCAL_RANK" in os.environ
    if is_shared and device.index is not None:
        raise UserError(f"--device {name}: torchrun gives each process a GPU of its own; use --device {device.type}")
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if is_shared and device.type == "cuda" and processes > torch.cuda.device_count():
        raise UserError(
            f"torchrun started {processes} processes here, and torch sees {torch.cuda.device_count()} GPU(s); lower "
            "--nproc-per-node"
        )
    # accelerate has one device in a process and keeps it. So a process alone does not ask it for one.
    on_processor = not is_initialized() and (device.type == "cpu" or not is_shared)
    accelerator = Accelerator(cpu=on_processor, kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)])
    if is_shared:
        device = accelerator.device
    elif device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # streams, events and recorded graphs lie on the current one

    if device.type == "cpu":
        _keep_freed_memory()
    if device.type == "cuda":
        _compute_float32_in_full()
    dtype, reason = choose_precision(device, precision)
    return Device(accelerator, dtype, reason, device)


def _named(name: str) -> torch.device:
    """Give the device of a name, `auto` for the accelerator that torch sees, else the processor. Raises UserError."""
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"--device {name}: is no device; use auto, cpu or cuda") from error
    is_available = device.type == "cpu" or (
        torch.accelerator.is_available()
        and torch.accelerator.current_accelerator(check_available=True) == torch.device(device.type)
        and (device.index or 0) < torch.accelerator.device_count()
    )
    if not is_available:
        raise UserError(f"--device {name}: torch sees no such device here; use --device auto or cpu")
    return device


def _keep_freed_memory() -> None:
    """Let the C library keep what torch frees, instead of asking the system for it again in the next step.

    glibc maps every large block anew, and the system clears it page by page: a tenth of a training step
    (docs/why/performance.md). Where the C library is another, nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_TOP_PAD, 64 * 2**20)


def _compute_float32_in_full() -> None:
    """Let a GPU's float32 be float32: torch's convolutions round it to the ten bits of TF32, so scores would differ.

    Products that are summed in bfloat16 by torch's choice are summed in float32 too.
    """
    # By these names alone can both settings be read afterwards, as torch's own code does.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def choose_precision(device: torch.device, precision: str) -> tuple[torch.dtype, str]:
    """Choose the dtype of forward passes, and say why."""
    if precision != "auto":
        return {"bf16": torch.bfloat16, "fp32": torch.float32}[precision], "the recipe says so"
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.bfloat16, "the GPU computes in bfloat16"
        return torch.float32, "the GPU does not compute in bfloat16"
    if device.type == "cpu":
        if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
            return torch.bfloat16, "the processor computes in bfloat16 (AVX-512 BF16 or AMX)"
        return torch.float32, "the processor has no bfloat16 arithmetic"
    return torch.float32, f"bfloat16 on {device.type} is not tried"
