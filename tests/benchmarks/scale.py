"""Runs of 10^6 steps, packs of 100 GB, stores of 100,000 jobs: whether what they cost grows as it must and no more."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from harness import Row, file_calls, progress, quartiles, seconds, short
from planning import _study
from torch import nn

from cliffkit.data.batches import Batches, batch_indices
from cliffkit.data.pack import Pack
from cliffkit.display.board import summary
from cliffkit.jobs.course import FitLog
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.regions import REGIONS
from cliffkit.store.artifacts import LOG, PackFacts, PerImage, RegionScores
from cliffkit.store.store import Store
from cliffkit.study.board import Board, JobState
from cliffkit.study.cells import jobs_of
from cliffkit.training.checkpoint import FitState, resume_fit, save_fit
from cliffkit.training.fit import CHECKPOINT_SECONDS, LOG_EVERY
from cliffkit.training.optimizer_state import optimizer_state
from cliffkit.training.steplog import StepLog, validation_curve

STEPS, SAVED_EVERY, VALIDATED_EVERY = 1_000_000, 1000, 1000
"""A checkpoint every 1000 steps is one every 20 seconds of 50 steps each."""
SIZE, BATCH, PACK_BYTES = (228, 304), 8, 100e9
JOBS, FEW, LOOKS = 100_000, 100, 300
IMAGES = 20_000
SIDE = 6074
"""Of a square matrix with as many numbers as the authors' network has parameters."""
MEMORY_MIB = "<= 30"


def rows() -> Iterator[Row]:
    """Steps, then packs, then tables, then stores."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield from _steps(folder)
        yield _saving(folder / "saved")
        yield from _packs(folder)
        yield from _tables(folder)
        yield from _stores(folder)
        yield _ended(folder)


def _steps(folder: Path) -> Iterator[Row]:
    """A loop that trains nothing, through the real log and the real checkpoints; then all that reads what it left."""
    progress(f"{STEPS:,} steps")
    store = Store(folder / "runs")
    job = _study(folder, 9, 1)[1][0].jobs[-1].needs["depth"]
    fit = store.working(job)
    network = nn.Linear(8, 8)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(8)).sum().backward()
    optimizer.step()
    log, state = StepLog(fit / LOG, active=True), FitState(best=dict(network.state_dict()), best_score=0.1)
    log.keep(0)

    transferred = [_transferred()]
    before = _memory("VmRSS")
    for step in range(LOG_EVERY, STEPS + 1, LOG_EVERY):
        log.write(*(_line(at) for at in range(step - LOG_EVERY + 1, step + 1)))
        if step % VALIDATED_EVERY == 0:
            log.write({"stage": "depth", "step": step, "val": dict.fromkeys(METRICS, 1 / step), "best": True})
        if step % SAVED_EVERY == 0:
            state.step, state.log = step, log.sum()
            save_fit(fit, state, network, optimizer)
        if step % (STEPS // 10) == 0:
            transferred.append(_transferred())
    tenths = np.diff(transferred)
    size = (fit / LOG).stat().st_size
    figures = f"{tenths[-1] / 1e6:.1f} against {tenths[0] / 1e6:.1f} MB; log {size / STEPS:.0f} bytes a step; "
    figures += f"{STEPS // SAVED_EVERY} checkpoints"
    what = "bytes read and written in the last tenth of 10^6 steps"
    yield _row(what, "the first", [tenths[-1] / tenths[0]], "<= 1.1", figures)
    grown = _memory("VmRSS") - before
    yield _row("memory after 10^6 steps", "before them, MiB more", [grown], MEMORY_MIB, f"{size / 1e6:.0f} MB of log")

    def resume() -> None:
        again, damages = resume_fit(fit, network, optimizer, torch.device("cpu"))
        assert (again.step, damages) == (STEPS, [])
        assert again.log is not None
        StepLog(fit / LOG, active=True).keep(again.log.bytes)

    yield _reading("going on", resume)
    yield _reading("the curve of validations", lambda: validation_curve(fit / LOG, "abs_rel"))
    yield _reading("all points for a tracker that knows none", lambda: sum(1 for _ in FitLog(job, store, 0).read()))
    late = FitLog(job, store, 0)
    assert sum(1 for _ in late.read()) > STEPS // 10
    yield _reading("a tracker's next look", lambda: list(late.read()))


def _saving(folder: Path) -> Row:
    """What the checkpoints of a large network take of the time."""
    progress("large checkpoints")
    folder.mkdir()
    network = nn.Linear(SIDE, SIDE, bias=False)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(SIDE)).sum().backward()
    optimizer.step()
    moments, _ = optimizer_state(optimizer)
    state = FitState(best=dict(network.state_dict()), best_optimizer=moments)
    taken = [seconds(lambda: save_fit(folder, state, network, optimizer)) for _ in range(5)]
    size = sum(path.stat().st_size for path in (folder / "checkpoint").iterdir())
    figures = f"{statistics.median(taken):.2g} s for {size / 1e6:.0f} MB, hashed and on the disk"
    what = f"saving the authors' recipe, {SIDE**2 / 1e6:.0f} M parameters, Adam, reload_best: all"
    return _row(what, "the 20 s between two checkpoints", [each / CHECKPOINT_SECONDS for each in taken], "", figures)


def _line(step: int) -> dict[str, object]:
    """What a fit with two losses and an embedding loss writes at a step."""
    terms = {name: float(np.float32(1 / (step + k))) for k, name in enumerate(("l1", "silog", "embedding"))}
    return {"stage": "depth", "step": step, "lr": 1e-3 * (1 - step / (STEPS + 1)), "loss": sum(terms.values()), **terms}


def _packs(folder: Path) -> Iterator[Row]:
    """Files with holes have the size of a pack of 100 GB, and take no room on the disk."""
    images = int(PACK_BYTES / (5 * SIZE[0] * SIZE[1]))
    small, large = (_pack(folder / f"pack{number}", number) for number in (1000, images))
    progress(f"a pack of {images:,} images")

    def read(path: Path) -> None:
        batches = Batches(Pack(path), BATCH, 0, 0, 1, torch.device("cpu"))
        for _ in batches.run(0, 200):
            pass

    read(small)
    peaks = [_peak_mib(lambda path=path: read(path)) for path in (small, large)]
    details = f"{peaks[1]:.1f} against {peaks[0]:.1f} MiB, 200 batches of {BATCH}"
    what = f"peak memory of reading a pack of 100 GB, {images:,} images"
    yield _row(what, "of 1,000, MiB more", [peaks[1] - peaks[0]], MEMORY_MIB, details)
    taken = [seconds(lambda step=step: batch_indices(images, BATCH, 1, step)) * 1e6 for step in range(1000)]
    what = f"choosing the images of a step, of {images:,}"
    yield _row(what, "microseconds", taken, "<= 100", f"{taken[0] / 1e3:.1f} ms once an epoch")


def _pack(path: Path, images: int) -> Path:
    path.mkdir()
    np.lib.format.open_memmap(path / "image.npy", "w+", np.uint8, (images, 3, *SIZE))
    np.lib.format.open_memmap(path / "depth.npy", "w+", np.uint16, (images, 1, *SIZE))
    np.save(path / "metres.npy", np.ones(images, np.float32))
    np.save(path / "scene.npy", np.full(images, -1, np.int64))
    PackFacts(images, SIZE, 2.5, 1.0, 0, ()).write(path)
    return path


def _tables(folder: Path) -> Iterator[Row]:
    random = np.random.default_rng(0)
    for number in (IMAGES // 10, IMAGES):
        values = random.lognormal(-2, 0.3, (number, len(METRICS)))
        PerImage(tuple(f"bathroom/rgb_{i:05d}.jpg" for i in range(number)), {"eigen": values}).write(folder)
        local = random.lognormal(-2, 0.3, (number, len(REGIONS), len(METRICS)))
        RegionScores(("bathroom",) * number, {"eigen": local.astype(np.float32)}).write(folder)
        sizes = [(folder / each.FILE).stat().st_size / number for each in (PerImage, RegionScores)]
        if number == IMAGES // 10:
            few = sum(sizes)
    details = f"{sizes[0]:.0f} in per_image.csv, {sizes[1]:.0f} in regions.npz; {len(METRICS)} metrics, "
    details += f"{len(REGIONS)} regions"
    yield _row("tables of 20,000 images, a protocol", "bytes an image", [sum(sizes)], "", details)
    yield _row("tables of 20,000 images, bytes an image", "of 2,000", [sum(sizes) / few], "<= 1.05", "")


def _stores(folder: Path) -> Iterator[Row]:
    """Looks into a store with 100,000 other jobs, beside one with 100."""
    cells = _study(folder, 1000, 1)[1]
    stores = {}
    for number in (FEW, JOBS):
        progress(f"a store of {number:,} jobs")
        stores[number] = store = Store(folder / f"runs{number}")
        for k in range(number):
            (store.jobs / f"depth-{k:020d}").mkdir()
            (store.jobs / f".depth-{k:020d}.lock").touch()
    job = cells[0].jobs[0]

    def claim(store: Store) -> None:
        with store.claim(job):
            pass

    looks: dict[str, Callable[[Store], object]] = {
        "open a store": lambda store: Store(store.root),
        "look for a job": lambda store: store.done(job),
        "claim a job": claim,
    }
    for what, look in looks.items():
        yield _look(what, look, stores, LOOKS)
    number = len(jobs_of(cells))
    yield _look(f"which of {number:,} jobs are done", lambda store: Board(cells, store), stores, 7)


def _ended(folder: Path) -> Row:
    """What a study does when a job ends, beside the calls of the file system."""
    progress("a study of 10,000 cells")
    board = Board(_study(folder, 10_000, 1)[1], Store(folder / "runs10000"))
    board.pace = lambda job: 1.0
    entries = [entry for entry in board.jobs.values() if entry.job.stage == "depth"]

    def end(entry: JobState) -> None:
        board.put(entry, "running")
        board.put(entry, "done")
        board.ready()
        summary(board, "study")

    taken = [seconds(lambda entry=entry: end(entry)) * 1e3 for entry in entries[:30]]
    return _row(
        "a job of a study of 10,000 cells ends: what is next, how far it is", "milliseconds", taken, "<= 250", ""
    )


def _look(what: str, look: Callable[[Store], object], stores: dict[int, Store], repeats: int) -> Row:
    calls = {}
    for number, store in stores.items():
        with file_calls(store.root) as each:
            look(store)
        calls[number] = len(each)
    assert calls[FEW] == calls[JOBS], (what, calls)
    pairs = [[seconds(lambda store=store: look(store)) for store in stores.values()] for _ in range(repeats)]
    few, many = (statistics.median(pair[k] for pair in pairs) * 1e6 for k in (0, 1))
    figures = f"{short(many)} against {short(few)} us on a local disk; calls of the file system: {calls[JOBS]}"
    ratios = [after / before for before, after in pairs]
    return _row(f"{what}, {JOBS:,} others in the store", f"{FEW} others", ratios, "<= 1.2", figures)


def _row(what: str, against: str, values: Sequence[float], target: str, details: str) -> Row:
    return Row(what, against, statistics.median(values), quartiles(sorted(values)), target, details)


def _reading(what: str, read: Callable[[], object]) -> Row:
    progress(what)
    taken = []
    peak = _peak_mib(lambda: taken.append(seconds(read)))
    return _row(f"{what} after 10^6 steps", "peak memory, MiB more", [peak], MEMORY_MIB, f"{taken[0]:.2f} s")


def _peak_mib(work: Callable[[], object]) -> float:
    """What a call adds to the memory of this process at its peak, MiB."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = _memory("VmRSS")
    work()
    return _memory("VmHWM") - before


def _memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return float(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def _transferred() -> int:
    """Bytes that this process has read and written so far, from and to any file."""
    facts = dict(line.split(": ") for line in Path("/proc/self/io").read_text(encoding="utf-8").splitlines())
    return int(facts["rchar"]) + int(facts["wchar"])
