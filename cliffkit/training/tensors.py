"""Named tensors: of modules, and in files. No pickle: safetensors."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from cliffkit.store.files import write_atomic

Tensors = Mapping[str, Tensor]


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Give a module's parameters and buffers by name."""
    return dict(module.state_dict())


def gather(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Give the parameters and buffers of several modules, each after its module's name and a dot."""
    return {f"{name}.{key}": value for name, module in modules.items() for key, value in weights_of(module).items()}


def scatter(modules: Mapping[str, nn.Module], tensors: Tensors) -> None:
    """Put what `gather` gave back into the modules."""
    for name, module in modules.items():
        module.load_state_dict({key: tensors[f"{name}.{key}"] for key in weights_of(module)})


def save_tensors(path: Path, tensors: Tensors) -> None:
    """Write tensors atomically; each is made contiguous, on the CPU and unshared. Raises UserError where that fails."""
    plain = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    size = sum(tensor.nbytes for tensor in plain.values())

    def write(temporary: Path) -> None:
        try:
            save_file(plain, temporary)
        except SafetensorError as error:  # it wraps what the system says in text
            code = re.search(r"(?:code:|os error) (\d+)", str(error))  # of older and of newer versions
            number = int(code[1]) if code else errno.EIO
            raise OSError(number, os.strerror(number)) from error

    write_atomic(path, write, needed=size)


def keep_batch(folder: Path, step: int, batch: Tensors) -> Path:
    """Keep the batch of a step whose loss was not finite, for people to look at; gives the file."""
    path = folder / f"diverged-{step:06d}.safetensors"
    save_tensors(path, batch)
    return path


def kept_batches(folder: Path) -> list[Path]:
    """List the files of `keep_batch` in a folder."""
    return sorted(folder.glob("diverged-*.safetensors"))
