"""Training on one CUDA GPU: images per second in each form of a step, beside a bare loop; memory; a study's workers.

The authors' network at their size, 228x304, batch 8. It says no more than that where there is no GPU.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import resizing
import torch
from authors import RECIPE
from authors import SETS as AUTHORS
from harness import Row, progress, quartiles, row, seconds
from parts import BareLoop, Turn, engine_loop, random_pack, recipe, write_random_pack
from study import STUDY
from torch.profiler import ProfilerActivity, profile

from cliffkit.data.pack import Pack

FORMS = ("eager", "compile", "graphs", "compile+graphs")
EVERY, COUNT, PAIRS = 10, 20, 9
"""Steps from one look at the losses to the next, looks of a measurement, and pairs of two processes."""


def rows() -> list[Row]:
    """All of them, in some ten minutes."""
    if not torch.cuda.is_available():
        sys.exit("gpu: there is no CUDA GPU here")
    found: list[Row] = []
    for form in FORMS:
        try:
            found += speed(form)
        except Exception as error:  # a form that fails is a result too, and the others go on
            progress(f"{form} fails: {error}")
    found += [utilisation(), determinism(), memory()]
    found += resizing.rows("cuda")
    return [*found, workers()]


def speed(form: str) -> list[Row]:
    """A form's images per second, reading, uploads and augmentation included, and its step beside the bare loop's."""
    progress(f"a step, {form}")
    of = recipe(RECIPE, *AUTHORS, f"train.depth.speed={form}")
    batch = of.train.depth.settings.batch
    with random_pack(64 * batch, (228, 304)) as pack:
        bare = BareLoop(of, pack, "cuda")
        pairs: list[tuple[float, float]] = []
        resumed = time.perf_counter()

        def tick(steps: int) -> None:  # after a look at the losses, which waits for the GPU
            nonlocal resumed
            own = (time.perf_counter() - resumed) / steps
            pairs.append((own, seconds(lambda: (bare.steps(steps), torch.cuda.synchronize())) / steps))
            resumed = time.perf_counter()

        engine_loop(of, pack, pack, (COUNT + 3) * EVERY, EVERY, tick, "cuda")
    pairs = pairs[2:-1]  # the first have compiling and recording in them
    rates = sorted(batch / own for own, _ in pairs)
    what = f"authors' network, HEG-S, 228x304, batch {batch}, `speed: {form}`"
    return [
        Row(f"{what}: images/s, all in", "", rates[len(rates) // 2], quartiles(rates), ">= 800", ""),
        row(f"{what}: a step", "bare torch loop, eager", pairs, "<= 1.05"),
    ]


def utilisation() -> Row:
    """The share of a stage's time in which the GPU computes, by torch's profiler."""
    progress("utilisation")
    of = recipe(RECIPE, *AUTHORS)
    busy: list[float] = []
    with random_pack(256, (228, 304)) as pack:
        recorder = profile(activities=[ProfilerActivity.CUDA])
        ticks, began = 0, 0.0

        def tick(steps: int) -> None:
            nonlocal ticks, began
            ticks += 1
            if ticks == 3:
                recorder.start()
                began = time.perf_counter()
            elif ticks == 6:
                wall = time.perf_counter() - began
                recorder.stop()
                busy.append(sum(event.self_device_time_total for event in recorder.key_averages()) / 1e6 / wall)

        engine_loop(of, pack, pack, 8 * EVERY, EVERY, tick, "cuda")
    return Row("the GPU computes, `speed: eager`", "the stage's time", busy[0], (busy[0], busy[0]), ">= 0.9", "")


def determinism() -> Row:
    """What `train.deterministic: true` costs."""
    progress("determinism")
    with TemporaryDirectory() as folder:
        pack = write_random_pack(Path(folder) / "pack", 256, (228, 304))
        exact, plain = (Turn(in_turns, [*AUTHORS, f"train.deterministic={on}"], pack) for on in ("true", "false"))
        exact.advance(), plain.advance()
        pairs = [(exact.advance(), plain.advance()) for _ in range(PAIRS)]
        exact.close(), plain.close()
    return row("`train.deterministic: true`", "false", pairs, "<= 1.03")


def in_turns(sets: list[str], pack: Path, tick: object) -> None:
    """The engine's loop, some steps a turn."""
    engine_loop(recipe(RECIPE, *sets), Pack(pack), Pack(pack), 10**6, EVERY, tick, "cuda")  # type: ignore[arg-type]


def memory() -> Row:
    """The largest memory of the stage beside the bare loop's."""
    progress("memory")
    of, peaks = recipe(RECIPE, *AUTHORS), []
    with random_pack(64, (228, 304)) as pack:
        for own in (True, False):
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            if own:
                engine_loop(of, pack, pack, 2 * EVERY, EVERY, lambda steps: None, "cuda")
            else:
                BareLoop(of, pack, "cuda").steps(2 * EVERY)
            peaks.append(torch.cuda.max_memory_allocated() - before)
    ratio, figures = peaks[0] / peaks[1], f"{peaks[0] / 2**20:.0f} against {peaks[1] / 2**20:.0f} MiB"
    return Row("peak memory of stage `depth`", "bare torch loop", ratio, (ratio, ratio), "<= 1.05", figures)


def workers() -> Row:
    """A study with as many workers as are found fastest, beside the same with one."""
    progress("a study")
    taken = []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text(STUDY, encoding="utf-8")
        for name, more in (("chosen", []), ("one", ["--workers", "1"])):
            command = [sys.executable, "-m", "cliffkit", "ablate", str(path), "--runs", f"{folder}/{name}", *more]
            taken.append(seconds(lambda command=command: subprocess.run(command, check=True, capture_output=True)))
    return row("a study of 27 cells, the hand-built encoder at 48x64", "one worker", [tuple(taken)], ">= 8", unit="s")
