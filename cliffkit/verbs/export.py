"""A trained run as one file that other programs run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from cliffkit.components.load import Plugins
from cliffkit.errors import UserError
from cliffkit.jobs.parts import TO_PREDICT, check_parts
from cliffkit.jobs.run_folder import check_files
from cliffkit.prediction.export import IMAGE_TYPES, TOLERANCE, Exported, write_export
from cliffkit.prediction.formats import FORMATS, Format
from cliffkit.prediction.predictor import Predictor, load_run, predictor
from cliffkit.store.artifacts import RECIPE, WEIGHTS, ExportFacts, RunMetrics
from cliffkit.store.checksums import checksum
from cliffkit.store.files import make_folder, write_atomic
from cliffkit.verbs.finished import Run
from cliffkit.verbs.inputs import AnyPath, installed_plugins, path_of


@dataclass(frozen=True)
class Export:
    """A network in a file, and what stands beside it."""

    file: Path
    facts: ExportFacts
    """What the file takes and gives, and how far it is from `predict`."""

    @property
    def facts_file(self) -> Path:
        """The JSON file of the facts."""
        return _beside(self.file)


def export(
    run: Run | AnyPath,
    out: AnyPath | None = None,
    *,
    to: Literal["onnx", "torch"] = "onnx",
    image: Literal["uint8", "float32"] = "uint8",
    size: tuple[int, int] | None = None,
    force: bool = False,
    plugins: Plugins | None = None,
) -> Export:
    """Write the whole prediction of a run, from image to metres at the image's size, into one file.

    The file takes `image`, (B, 3, height, width) RGB, and gives `depth_m`, (B, height, width) float32 metres: what
    `predict` gives without `flip`. It is compared with `predict` on images of several sizes; the largest difference
    stands in a JSON file beside it.

    Args:
        run: a run or its folder.
        out: the file; by default the run folder's name in the working folder, with the end .onnx or .pt2.
        to: onnx, or torch for a program of torch.export.
        image: type of the input; uint8, or float32 in [0, 1].
        size: height and width of images where they are to be fixed; by default any size will do where the parts of the
            network allow that.
        force: write over a file that `export` did not write, or that was changed since.
        plugins: those to use; by default the installed ones.

    Raises UserError that names the part which cannot be exported, for a file whose depth differs from that of
    `predict` by more than 0.1 % (no file is left then), for a file in the way, and where the parts that are installed
    are not those with which the weights were trained.

    Example: `cliffkit.export(run, "depth.onnx").facts.difference_m`.
    """
    if to not in FORMATS or image not in get_args(_ImageType):
        raise UserError(f"to: '{to}', image: '{image}'; to is {' or '.join(FORMATS)}, image {' or '.join(IMAGE_TYPES)}")
    if size is not None and min(size) < 1:
        raise UserError(f"size: {size[0]}x{size[1]} is no size; give a height and a width in pixels, 1 or more")
    folder = run.folder if isinstance(run, Run) else path_of(run, "run")
    recipe = load_run(folder, (plugins or installed_plugins()).registry)
    check_parts(folder, recipe, TO_PREDICT)
    check_files(folder, (RECIPE, WEIGHTS, RunMetrics.FILE))

    form = FORMATS[to]()
    file = Path(folder.resolve().name + form.suffix) if out is None else path_of(out, "out")
    _spare(file, force)
    network = predictor(recipe, folder / WEIGHTS, torch.device("cpu"))
    exported: list[Exported] = []
    make_folder(file.parent)
    write_atomic(file, lambda path: exported.append(write_export(network, form, path, image, size)))

    record = RunMetrics.read(folder)
    facts = _facts(record, to, file, image, network, form, exported[0])
    facts.write_file(_beside(file))
    return Export(file, facts)


_ImageType = Literal["uint8", "float32"]


def _facts(
    record: RunMetrics, to: str, file: Path, image: str, network: Predictor, form: Format, exported: Exported
) -> ExportFacts:
    return ExportFacts(
        run=record.name,
        key=record.key,
        format=to,
        sha256=checksum(file).sha256,
        image=image,
        depth="float32",
        free=tuple(exported.axes.values()),
        size=exported.size,
        reason=exported.reason,
        fed=network.fed,
        difference_m=exported.parity.difference_m,
        difference=exported.parity.difference,
        tolerance=TOLERANCE,
        compared=exported.parity.shapes,
        versions=form.versions(),
    )


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")


def _spare(file: Path, force: bool) -> None:
    """Raise UserError for a folder in the way, and without `force` for a file that `export` did not write."""
    if file.is_dir():
        raise UserError(f"{file}: is a folder; name a file with -o")
    if force or not file.exists():
        return
    try:
        ours = ExportFacts.read_file(_beside(file)).sha256 == checksum(file).sha256
    except (UserError, OSError):
        ours = False
    if not ours:
        raise UserError(
            f"{file}: was not written by `cliffkit export`, or was changed since; name another file with -o, or write "
            "over it with --force"
        )
