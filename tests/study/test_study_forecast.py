"""What a study will cost is measured: on jobs that were done here, else by a probe of the real loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.interfaces import Executor, Place, Result, Task
from cliffkit.prediction.predictor import Predictor
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.study import forecast
from cliffkit.study.board import Board
from cliffkit.study.cells import jobs_of
from cliffkit.study.check import load_study
from cliffkit.study.forecast import busy_share, choose_slots, choose_workers
from cliffkit.study.pace import Pace, Paces, kind_of_work, units
from cliffkit.study.probe import SCORED_IMAGES, ProbeTask, free_bytes, probe
from cliffkit.study.reading import load_results
from cliffkit.training import gradients
from cliffkit_executors.local import Local

from ..protocol_fixtures import PROTOCOLS
from ..study_fixtures import STUDY, FinishedStudy, Inline, run_small, small_study

HERE = Place("cpu", 1)


def one_of_each(cells: list) -> dict[str, Job]:
    """A job of every stage; the depth job is one with an embedding loss."""
    return {job.stage: job for cell in cells if cell.variant.name == "heg_s + cliff" for job in cell.jobs}


@pytest.mark.parametrize("stage", ["pack", "images", "embedding", "depth", "evaluate"])
def test_a_probe_measures_every_stage(
    finished_study: FinishedStudy, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    monkeypatch.setattr("cliffkit.study.probe.PROBE_SECONDS", 0.02)
    job = one_of_each(finished_study.cells)[stage]
    pace = probe(ProbeTask(job, {}), HERE)
    assert 0 < pace.seconds < 30
    assert pace.memory_bytes > 50e6
    assert (pace.kept_bytes > 1000) == (stage in ("images", "embedding", "depth"))
    assert units(job) == (4 if stage in ("embedding", "depth") else 1)


def test_an_evaluation_is_probed_as_it_is_done_one_prediction_for_all_protocols_of_a_view(
    finished_study: FinishedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = one_of_each(finished_study.cells)["evaluate"]
    protocols = tuple(PROTOCOLS[name] for name in ("full", "eigen", "garg"))
    called: list[int] = []
    predict = Predictor.batch

    def counted(self: Predictor, images: Tensor, *view: Any, **more: Any) -> Any:
        called.append(len(images))
        return predict(self, images, *view, **more)

    monkeypatch.setattr(Predictor, "batch", counted)
    probe(ProbeTask(replace(job, recipe=replace(job.recipe, protocols=protocols)), {}), HERE)
    assert called == [1, min(SCORED_IMAGES, job.recipe.data.options["test"])]


def test_a_probe_leaves_nothing_in_the_store(finished_study: FinishedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cliffkit.study.probe.PROBE_SECONDS", 0.02)
    before = sorted(finished_study.runs.rglob("*"))
    probe(ProbeTask(one_of_each(finished_study.cells)["depth"], {}), HERE)
    assert sorted(finished_study.runs.rglob("*")) == before


def test_kinds_of_work_are_what_takes_equally_long(tmp_path: Path, registry: Registry) -> None:
    """Seeds, rates and steps do not matter to a step; batch, network, loss, size and threads do."""
    text = """\
name: k
base: base.yaml
seeds: [0, 1]
axes:
  what:
    base: {}
    rate: {train.depth.lr: 2e-3}
    steps: {train.depth.steps: 9}
    batch: {train.depth.batch: 2}
    fusion: {model.fusion.use: add}
    loss: {loss: [{use: l2}]}
    size: {data.size: [32, 64]}
    speed: {train.depth.speed: compile}
"""
    _, cells = small_study(tmp_path, registry, text)
    depth = {(cell.variant.name, cell.seed): cell.jobs[-1].needs["depth"] for cell in cells}
    own = kind_of_work(depth["base", 0], HERE)
    same = {name for (name, seed), job in depth.items() if kind_of_work(job, HERE) == own}
    assert same == {"base", "rate", "steps"}
    assert kind_of_work(depth["base", 1], HERE) == own
    assert kind_of_work(depth["base", 0], Place("cpu", 2)) != own
    assert kind_of_work(depth["base", 0], Place("cuda:0", 1)) == kind_of_work(depth["base", 0], Place("cuda:1", 1))


def test_a_pace_on_a_gpu_is_of_that_gpu_and_of_so_many_that_share_it(
    finished_study: FinishedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paces on a processor keep the form under which they are known."""
    job, machines = one_of_each(finished_study.cells)["depth"], list[list[object]]()

    def dumps(value: list[Any], sort_keys: bool) -> str:
        machines.append(value[1])
        return str(value)

    monkeypatch.setattr("cliffkit.study.pace.json", SimpleNamespace(dumps=dumps))
    monkeypatch.setattr("cliffkit.study.pace.processor_name", lambda: "a processor")
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    alone = kind_of_work(job, Place("cuda", 4))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    gpus = {"cuda": "H200", "cuda:0": "H200", "cuda:1": "T4"}
    facts = lambda device: SimpleNamespace(name=gpus[str(device)], total_memory=80)  # noqa: E731
    monkeypatch.setattr("torch.cuda.get_device_properties", facts)
    places = [Place("cpu", 4), Place("cuda:0", 4), Place("cuda", 4), Place("cuda:0", 4, 2), Place("cuda:1", 4, 2)]
    kinds = [kind_of_work(job, place) for place in places]
    assert machines == [
        ["a processor", 64, "cuda", 4, "", 0, 1],
        ["a processor", 64, "cpu", 4],
        ["a processor", 64, "cuda", 4, "H200", 80, 1],
        ["a processor", 64, "cuda", 4, "H200", 80, 1],
        ["a processor", 64, "cuda", 4, "H200", 80, 2],
        ["a processor", 64, "cuda", 4, "T4", 80, 2],
    ]
    assert len({alone, *kinds}) == 5


GENERATORS = """\
name: generators
base: base.yaml
seeds: [0]
axes:
  embedding:
    random: {embedding.trained: false}
    filters: {embedding: {use: filters, scale: unit, weights: [1, 1, 1, 1]}}
compare: {reference: {embedding: random}}
"""


def test_generators_that_are_not_fitted_run_in_a_study_and_have_a_pace(tmp_path: Path, registry: Registry) -> None:
    _, cells = small_study(tmp_path, registry, GENERATORS)
    board = run_small(cells, tmp_path / "runs")
    assert {name: board.store.failure(entry.job) for name, entry in board.jobs.items() if entry.state != "done"} == {}
    assert sorted(job.stage for job in jobs_of(cells).values()).count("embedding") == 2
    results = load_results(load_study(tmp_path / "study.yaml", registry), cells, board.store)
    assert [result.generator for result in results.cells] == [None, None]
    assert [len(result.scores.divisors) for result in results.cells if result.scores] == [0, 4]

    paces = Paces(board.store)
    for cell in cells:
        job = next(job for job in cell.jobs if job.stage == "embedding")
        known, measured = paces.get(job, Place("cpu", torch.get_num_threads())), probe(ProbeTask(job, {}), HERE)
        assert known is not None
        assert units(job) == 1
        assert 0 < min(known.seconds, measured.seconds) <= max(known.seconds, measured.seconds) < 30
        assert measured.kept_bytes == known.kept_bytes


class Deaf(Inline):
    """An executor that is not to be asked."""

    def submit(self, work: Callable[[Task, Place], Result], task: Task) -> Future[Result]:
        raise AssertionError("nothing needs to be probed")


def test_what_was_done_here_needs_no_probe(finished_study: FinishedStudy, tmp_path: Path, registry: Registry) -> None:
    _, cells = small_study(tmp_path, registry, STUDY.replace("[0, 1]", "[0, 1, 2]"))
    store = Store(finished_study.copy(tmp_path / "runs"))
    left = [job for job in jobs_of(cells).values() if not store.done(job)]
    told: list[str] = []
    expected = forecast.forecast(left, Deaf(), store, {}, told.append)
    assert told == []
    assert {stage: count for stage, (count, _) in expected.by_stage.items()} == {"depth": 4, "evaluate": 4}
    assert expected.seconds == pytest.approx(sum(seconds for _, seconds in expected.by_stage.values()))
    known = Paces(store)
    by_hand = sum(known.get(job, Deaf().place).seconds * units(job) for job in left)  # type: ignore[union-attr]
    assert expected.seconds == pytest.approx(by_hand)


class Scripted(Executor):
    """Paces by how many work at once, without working."""

    def __init__(self, seconds: dict[int, float], memory: int = 1) -> None:
        self.seconds, self.memory = seconds, memory
        self.choices = sorted(seconds)
        self.asked: list[int] = []
        self.resize(self.choices[0])

    def resize(self, slots: int) -> None:
        self.slots, self.place = slots, Place("cpu", 8 // slots)

    def submit(self, work: Callable[[Task, Place], Result], task: Task) -> Future[Result]:
        self.asked.append(self.slots)
        future: Future[Result] = Future()
        future.set_result(Pace(self.seconds[self.slots], self.memory))  # type: ignore[arg-type]
        return future

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ({1: 1.0, 2: 1.5, 4: 2.5, 8: 9.0}, 4),  # steps per second: 1, 1.33, 1.6, 0.89
        ({1: 1.0, 2: 2.5, 4: 6.0, 8: 20.0}, 1),
        ({1: 1.0, 2: 2.05, 4: 9.0, 8: 20.0}, 2),  # nearly as fast: workers before threads
    ],
)
def test_as_many_at_once_as_do_most(
    finished_study: FinishedStudy, tmp_path: Path, seconds: dict[int, float], best: int
) -> None:
    job, store = one_of_each(finished_study.cells)["depth"], Store(tmp_path / "runs")
    executor = Scripted(seconds)
    said = choose_slots(job, executor, Paces(store), {}, 99, lambda text: None)
    assert executor.slots == best
    assert f"{best} at once" in said
    assert executor.asked == [1, 2, 2, 4, 4, 4, 4, *[8] * 8], "all of them compute while one is measured"
    again = Scripted(seconds)
    told: list[str] = []
    choose_slots(job, again, Paces(store), {}, 99, told.append)
    assert (again.slots, again.asked) == (best, []), "a study that goes on chooses as it chose"
    assert told == []


def test_a_study_that_goes_on_chooses_by_the_job_that_was_measured_first(
    finished_study: FinishedStudy, tmp_path: Path
) -> None:
    board = Board(finished_study.cells, Store(finished_study.copy(tmp_path / "runs")))
    first, second, *_ = (each for each in board.jobs.values() if each.job.stage == "depth")
    board.put(second, "waiting")
    told: list[str] = []
    executor = Scripted({1: 1.0, 2: 1.0})
    executor.choices = [1]
    assert choose_workers(board, executor, {}, told.append) == ""
    executor.choices = [1, 2]
    board.put(first, "waiting")
    choose_workers(board, executor, {}, told.append)
    assert len(told) == 2, "one choice after the other is measured"
    board.put(first, "done")
    third = list(board.jobs.values())[-2]
    board.put(third, "waiting")
    choose_workers(board, Scripted({1: 1.0, 2: 1.0}), {}, told.append)
    assert len(told) == 2, "the first one's pace is known, whatever is left"
    board.put(first, "failed")
    choose_workers(board, Scripted({1: 1.0, 2: 1.0}), {}, told.append)
    assert len(told) == 2, "another job's pace is known: nothing is measured that need not be"
    Path(board.store.root / "paces.json").unlink()
    choose_workers(board, Scripted({1: 1.0, 2: 1.0}), {}, told.append)
    assert len(told) == 4, "a job that failed is not tried again to measure it"
    for each in board.jobs.values():
        board.put(each, "done")
    assert choose_workers(board, Deaf(), {}, told.append) == ""


def test_on_a_loaded_machine_the_number_is_measured_anew_and_not_kept(
    finished_study: FinishedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    board = Board(finished_study.cells, Store(tmp_path / "runs"))
    told: list[str] = []
    quiet = Scripted({1: 1.0, 2: 3.0})
    choose_workers(board, quiet, {}, told.append)
    assert quiet.slots == 1
    kept = (board.store.root / "paces.json").read_bytes()

    monkeypatch.setattr("cliffkit.study.forecast.busy_share", busy_share)
    monkeypatch.setattr("psutil.cpu_percent", lambda interval: 60.0)
    loaded = Scripted({1: 1.0, 2: 1.1})
    choose_workers(board, loaded, {}, told.append)
    assert loaded.slots == 2
    assert "other programs take 60% of the processor" in told
    assert (board.store.root / "paces.json").read_bytes() == kept

    monkeypatch.setattr("psutil.cpu_percent", lambda interval: 10.0)
    again = Scripted({1: 1.0, 2: 1.1})
    choose_workers(board, again, {}, told.append)
    assert (again.slots, again.asked) == (1, [])


def test_never_more_at_once_than_there_is_to_do_or_memory_for(finished_study: FinishedStudy, tmp_path: Path) -> None:
    job = one_of_each(finished_study.cells)["depth"]
    few = Scripted({1: 1.0, 2: 1.0, 4: 1.0})
    choose_slots(job, few, Paces(Store(tmp_path / "few")), {}, 2, lambda text: None)
    assert (few.slots, set(few.asked)) == (2, {1, 2})
    large = Scripted({1: 1.0, 2: 1.0, 4: 1.0}, memory=10**15)
    said = choose_slots(job, large, Paces(Store(tmp_path / "large")), {}, 99, lambda text: None)
    assert large.slots == 1
    assert "more would not fit into memory" in said


@pytest.mark.parametrize(("cores", "gpus", "choices"), [(16, 1, [1, 2, 4, 8]), (6, 2, [2, 4]), (2, 4, [4])])
def test_several_processes_may_share_a_gpu_as_far_as_there_are_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, gpus: int, choices: list[int]
) -> None:
    monkeypatch.setattr("cliffkit_executors.local.available_cores", lambda: cores)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    monkeypatch.setattr("torch.accelerator.is_available", lambda: True)
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda: torch.device("cuda"))
    executor = Local(None, "auto")
    assert (executor.choices, executor.slots, executor.place.device) == (choices, gpus, "cuda:0")
    sharing = []
    for slots in choices:
        executor.resize(slots)
        sharing.append(executor.place.sharing)
    assert sharing == [-(-slots // gpus) for slots in choices]
    assert Local(3, "auto").choices == [3]
    assert Local(3, "cuda:0").place.sharing == 3
    assert Local(3, "cpu").place.sharing == 1
    assert Local(None, "cuda:0").choices == [1], "a GPU that is named is shared only where --workers says so"


class Shared(Scripted):
    """Two GPUs with so many free bytes each; memory ends where more than `most` are at work."""

    def __init__(self, seconds: dict[int, float], memory: int = 1, free: tuple[int, ...] = (80, 80), most: int = 99):
        super().__init__(seconds, memory)
        self.free, self.most, self.questions = free, most, list[int]()

    def resize(self, slots: int) -> None:
        self.slots, self.place = slots, Place("cuda:0", 32 // slots)

    def submit(self, work: Callable[[Task, Place], Result], task: Task) -> Future[Result]:
        if work is free_bytes:
            self.questions.append(self.slots)
            future: Future[Any] = Future()
            future.set_result(self.free[(len(self.questions) - 1) % len(self.free)] * 10**9)
            return future
        pace = super().submit(work, task).result()
        future = Future()
        assert isinstance(pace, Pace)
        if self.slots > self.most and len(self.asked) % 2 == 0:  # every second one, and it is fast
            pace = pace._replace(seconds=pace.seconds - 0.01, halved=True)
        future.set_result(pace)
        return future


@pytest.mark.parametrize("free", [(100, 100), (200, 100), (100, 200)])
def test_no_more_share_a_gpu_than_its_free_memory_holds(
    finished_study: FinishedStudy, tmp_path: Path, free: tuple[int, ...]
) -> None:
    job = one_of_each(finished_study.cells)["depth"]
    for memory, most in ((9e9, 16), (15e9, 8), (30e9, 4), (70e9, 2)):  # each with CUDA's own, of 80 GB of each GPU
        executor = Shared({2: 1.0, 4: 1.0, 8: 1.0, 16: 1.0}, int(memory), free)
        said = choose_slots(job, executor, Paces(Store(tmp_path / str(most))), {}, 99, lambda text: None)
        assert executor.slots == most
        assert ("more would not fit into memory" in said) == (most < 16)
        assert executor.questions == [2, 2], "a worker of each GPU is asked before anything is measured"


@pytest.mark.parametrize(("most", "best", "said"), [(99, 8, "8.00 steps/s"), (4, 4, "8 at once failed: out of memory")])
def test_a_number_of_workers_at_which_memory_ends_is_not_taken(
    finished_study: FinishedStudy, tmp_path: Path, most: int, best: int, said: str
) -> None:
    """Passes that were halved would be measured, and trained, all the same."""
    job, store = one_of_each(finished_study.cells)["depth"], Store(tmp_path / "runs")
    seconds = {2: 1.0, 4: 1.0, 8: 1.0}
    for asked in ({2, 4, 8}, set()):
        executor = Shared(seconds, most=most)
        assert said in choose_slots(job, executor, Paces(store), {}, 99, lambda text: None)
        assert (executor.slots, set(executor.asked)) == (best, asked), "a study that goes on chooses as it chose"


def test_where_memory_ends_with_the_fewest_workers_more_are_not_tried(
    finished_study: FinishedStudy, tmp_path: Path
) -> None:
    job = one_of_each(finished_study.cells)["depth"]
    executor = Shared({2: 1.0, 4: 1.0, 8: 1.0}, most=0)
    said = choose_slots(job, executor, Paces(Store(tmp_path / "runs")), {}, 99, lambda text: None)
    assert (executor.slots, set(executor.asked)) == (2, {2})
    assert said == "2 at once: 2.00 steps/s; more would not fit into memory"


def test_of_numbers_that_are_nearly_as_fast_a_gpu_has_the_fewest_workers(
    finished_study: FinishedStudy, tmp_path: Path
) -> None:
    job = one_of_each(finished_study.cells)["depth"]
    executor = Shared({2: 1.0, 4: 1.95, 8: 3.9, 16: 7.8})  # 2, then 2.05 steps per second
    choose_slots(job, executor, Paces(Store(tmp_path / "runs")), {}, 99, lambda text: None)
    assert executor.slots == 2


@pytest.mark.parametrize("error", [UserError("its process died"), RuntimeError("no CUDA here")])
def test_a_gpu_that_does_not_say_what_is_free_is_no_end_of_the_study(
    finished_study: FinishedStudy, tmp_path: Path, error: Exception
) -> None:
    class Silent(Shared):
        def submit(self, work: Callable[[Task, Place], Result], task: Task) -> Future[Result]:
            future: Future[Result] = Future()
            future.set_exception(error)
            return future

    board = Board(finished_study.cells, Store(finished_study.copy(tmp_path / "runs", "depth-", "evaluate-")))
    executor, told = Silent({2: 1.0, 4: 1.0}), list[str]()
    assert choose_workers(board, executor, {}, told.append) == ""
    assert executor.slots == 2
    assert str(error) in told[0]


def test_a_worker_asks_its_own_gpu_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", {"cuda:1": (5, 80)}.__getitem__)
    assert free_bytes(None, Place("cuda:1", 1)) == 5


@pytest.mark.parametrize("most", [1, 99])
def test_a_probe_tells_that_memory_ended(
    finished_study: FinishedStudy, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("cliffkit.study.probe.PROBE_SECONDS", 0.02)
    backward = gradients._backward

    def limited(objective: Any, batch: Any, step: int, micro: int | None, device: Any) -> Any:
        if min(micro or 99, len(batch.image)) > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return backward(objective, batch, step, micro, device)

    monkeypatch.setattr(gradients, "_backward", limited)
    assert probe(ProbeTask(one_of_each(finished_study.cells)["depth"], {}), HERE).halved == (most == 1)


def test_a_pack_that_is_probed_is_cleaned_up_and_its_threads_are_those_of_the_place(
    finished_study: FinishedStudy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("cliffkit.study.probe.PROBE_SECONDS", 0.02)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = torch.get_num_threads()
    probe(ProbeTask(replace(one_of_each(finished_study.cells)["embedding"]), {}), HERE)
    assert torch.get_num_threads() == 1 == before
    assert not list(tmp_path.iterdir())


def test_paces_of_two_processes_are_kept_beside_each_other(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    one, two = Paces(store), Paces(store)
    one.learn({"depth-a": Pace(1.0, 1)})
    two.learn({"depth-b": Pace(2.0, 2)})
    assert sorted(json.loads((store.root / "paces.json").read_text())) == ["depth-a", "depth-b"]
