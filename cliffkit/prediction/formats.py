"""The formats that a prediction graph is exported to: how each is written, and how its file is run."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cliffkit.errors import UserError

Floats = NDArray[np.float32]
Axes = Mapping[int, str]
"""Axes of the image whose length is free, by number, with their names."""

ONNX_BYTES = 2**31 - 2**24
"""Most bytes of parameters in one ONNX file: protobuf ends at 2 GB."""


class Format(ABC):
    """A kind of file that holds a prediction graph."""

    suffix: ClassVar[str]
    libraries: ClassVar[Sequence[str]]
    """Distributions whose versions are written down."""

    @abstractmethod
    def write(self, module: nn.Module, inputs: tuple[Any, ...], axes: Axes, path: Path) -> None:
        """Write a module as it computes these inputs; the first input's axes in `axes` stay free."""

    @abstractmethod
    def load(self, path: Path) -> Callable[[Tensor], Floats]:
        """Load a file: images to metres."""

    def versions(self) -> dict[str, str]:
        """Look up the versions of the libraries."""
        return {name: importlib.metadata.version(name) for name in self.libraries}


class TorchFormat(Format):
    """A program of torch.export: `torch.export.load(file).module()` runs it without cliffkit."""

    suffix = ".pt2"
    libraries = ("torch",)

    def write(self, module: nn.Module, inputs: tuple[Any, ...], axes: Axes, path: Path) -> None:
        """Write as `Format.write` says."""
        buffer = io.BytesIO()
        with _quiet():
            torch.export.save(_program(module, inputs, axes), buffer)
        path.write_bytes(buffer.getbuffer())

    def load(self, path: Path) -> Callable[[Tensor], Floats]:
        """Load a file: images to metres."""
        with _quiet():
            module = torch.export.load(io.BytesIO(path.read_bytes())).module()

        def run(image: Tensor) -> Floats:
            with torch.no_grad():
                depth: Floats = module(image).numpy()
            return depth

        return run


class OnnxFormat(Format):
    """An ONNX model, which onnxruntime and many other programs run."""

    suffix = ".onnx"
    libraries = ("torch", "onnx", "onnxscript", "onnxruntime")

    def __init__(self) -> None:
        try:
            for name in ("onnx", "onnxscript", "onnxruntime"):
                importlib.import_module(name)
        except ImportError as error:
            raise UserError(
                f"an export to ONNX needs {error.name}; install it with: pip install 'cliffkit[onnx]'"
            ) from error

    def write(self, module: nn.Module, inputs: tuple[Any, ...], axes: Axes, path: Path) -> None:
        """Write as `Format.write` says. Raises UserError for more parameters than one file can hold."""
        size = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
        if size > ONNX_BYTES:
            raise UserError(f"its parameters have {size:,} bytes, and an ONNX file holds 2 GB; export with --to torch")
        with _quiet():
            program = torch.onnx.export(
                _program(module, inputs, axes), input_names=["image"], output_names=["depth_m"], verbose=False
            )
        assert program is not None, "the exporter of torch.export's programs gives one"
        program.save(str(path), external_data=False)

    def load(self, path: Path) -> Callable[[Tensor], Floats]:
        """Load a file: images to metres."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors alone
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])

        def run(image: Tensor) -> Floats:
            depth: Floats = session.run(None, {"image": image.numpy()})[0]
            return depth

        return run


FORMATS: Mapping[str, Callable[[], Format]] = MappingProxyType({"onnx": OnnxFormat, "torch": TorchFormat})
"""Formats by the words of `--to`."""


def _program(module: nn.Module, inputs: tuple[Any, ...], axes: Axes) -> torch.export.ExportedProgram:
    """Trace a module into a program of torch.export."""
    shapes = ({axis: torch.export.Dim(name) for axis, name in axes.items()},) if axes else None
    with _quiet(), torch.no_grad():
        return torch.export.export(module, inputs, dynamic_shapes=shapes)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' warnings to themselves: whether an export is right is measured."""
    logger = logging.getLogger("torch")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)
