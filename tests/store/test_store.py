"""Finished jobs: each whole or not there at all, shared by processes."""

import hashlib
import json
import os
import select
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cliffkit.components.engine import ENGINE_SOURCE, engine_source
from cliffkit.errors import UserError
from cliffkit.store import store as store_module
from cliffkit.store.artifacts import JobRecord
from cliffkit.store.checksums import FileSum
from cliffkit.store.files import link, remove_leftovers, replace_folder, write_atomic, write_json, write_text
from cliffkit.store.job import Job
from cliffkit.store.store import Store, job_folder


def a_job(key="abc"):
    return Job("depth", key, {"seed": 3}, {}, None)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


class Interrupt(BaseException):
    """As ^C is, no Exception."""


class TestJobs:
    def test_a_job_is_done_once_it_is_finished(self, store):
        job = a_job()
        working = store.working(job)
        (working / "sub").mkdir()
        (working / "sub" / "weights").write_text("w")
        for leftover in (".0a1b.7.tmp", "sub/.tmpX7f3q2"):  # of a kill while we, or safetensors, wrote
            (working / leftover).write_text("half")
        assert not store.done(job)
        store.finish(job, 1.5)
        assert store.done(job)
        assert not working.exists()
        assert store.folder(job) == store.root / "jobs" / "depth-abc" == job_folder(store.root, job)
        assert files(store.folder(job)) == {"job.json", "sub/weights"}
        record = store.record(job)
        assert record.finished > 1.7e9
        sums = {"sub/weights": FileSum(1, hashlib.sha256(b"w").hexdigest())}
        versions = {ENGINE_SOURCE: engine_source()}
        assert record == JobRecord("depth", "abc", {"seed": 3}, 1.5, record.finished, sums, versions)

    def test_jobs_are_told_apart_by_stage_and_key(self, store):
        store.working(a_job())
        store.finish(a_job(), 0)
        assert not store.done(a_job("abd"))
        assert not store.done(Job("evaluate", "abc", {}, {}, None))

    def test_an_interrupted_attempt_is_found_again(self, store):
        (store.working(a_job()) / "half").write_text("h")
        again = Store(store.root)
        assert not again.done(a_job())
        assert (again.working(a_job()) / "half").read_text() == "h"

    @pytest.mark.parametrize("step", ["write", "sync", "rename"])
    def test_interrupted_at_any_step_of_finishing_it_is_not_done(self, store, monkeypatch, step):
        def interrupted(*_):
            raise Interrupt

        job = a_job()
        (store.working(job) / "weights").write_text("w")
        with monkeypatch.context() as patched:
            patched.setattr({"write": JobRecord, "sync": store_module, "rename": os}[step], step, interrupted)
            with pytest.raises(Interrupt):
                store.finish(job, 1)
        assert not store.done(job)
        assert (store.working(job) / "weights").read_text() == "w"
        store.finish(job, 2)
        assert store.record(job).seconds == 2
        assert store.damage(job, ()) is None, "a record that the first attempt left is no file of the job"

    def test_nothing_is_written_to_a_job_after_it_appears(self, store, monkeypatch):
        rename, seen = os.rename, []

        def watched(source, target):
            seen.append(files(source))
            rename(source, target)

        job = a_job()
        (store.working(job) / "weights").write_text("w")
        monkeypatch.setattr(os, "rename", watched)
        store.finish(job, 1)
        assert seen == [files(store.folder(job))]

    def test_everything_is_on_the_disk_before_a_job_appears(self, store, monkeypatch):
        synced, renamed_after = [], []
        rename = os.rename
        monkeypatch.setattr(store_module, "sync", lambda path: synced.append(path.name))
        monkeypatch.setattr(os, "rename", lambda *paths: (renamed_after.extend(synced), rename(*paths)))
        (store.working(a_job()) / "sub").mkdir()
        (store.working(a_job()) / "sub" / "weights").write_text("w")
        store.finish(a_job(), 1)
        assert {"sub", "weights", "job.json"} <= set(renamed_after)


CLAIM = """
import sys; from pathlib import Path; from types import SimpleNamespace
from cliffkit.store.store import Store
store, job = Store(Path(sys.argv[1])), SimpleNamespace(stage="depth", key="abc", name="depth-abc")
with store.claim(job, lambda: print("waiting", flush=True)):
    print("done" if store.done(job) else "to do", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def another_process(store):
    """A process that claims the job and holds it until it is sent a line or killed."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", CLAIM, str(store.root)], **pipes) as process:
        yield process
        process.kill()


class TestClaim:
    def test_keeps_another_process_waiting_until_the_job_is_done(self, store, another_process):
        job = a_job()
        said = another_process.stdout
        with store.claim(job):
            assert said.readline() == "waiting\n"
            store.working(job)
            store.finish(job, 1)
            assert not select.select([said], [], [], 0.3)[0]
        assert said.readline() == "done\n"

    def test_waits_for_another_process_and_says_so(self, store, another_process):
        assert another_process.stdout.readline() == "to do\n"
        heard = []
        let_go = threading.Timer(0.3, lambda: print(file=another_process.stdin, flush=True))
        let_go.start()
        with store.claim(a_job(), lambda: heard.append(another_process.poll())):
            assert heard == [None]  # called once, while the other was alive
        let_go.join()

    def test_of_a_killed_process_is_free(self, store, another_process):
        assert another_process.stdout.readline() == "to do\n"
        another_process.kill()
        another_process.wait()
        with store.claim(a_job(), lambda: pytest.fail("the lock of a dead process still holds")):
            pass

    def test_of_another_job_does_not_wait(self, store):
        with store.claim(a_job()), store.claim(a_job("other"), lambda: pytest.fail("one lock for two jobs")):
            pass

    def test_is_given_back_when_the_work_fails(self, store):
        with pytest.raises(Interrupt), store.claim(a_job()):
            raise Interrupt
        with store.claim(a_job(), lambda: pytest.fail("still held")):
            pass


class TestOpening:
    def test_makes_the_folder_and_stamps_it(self, tmp_path):
        Store(tmp_path / "a" / "b")
        assert files(tmp_path) == {"a/b/store.json"}
        assert json.loads((tmp_path / "a/b/store.json").read_text()) == {"version": store_module.STORE_VERSION}

    def test_again_changes_nothing(self, store):
        stamp = store.root / "store.json"
        before = stamp.stat().st_mtime_ns
        Store(store.root)
        assert stamp.stat().st_mtime_ns == before

    def test_a_newer_store_is_refused(self, store):
        write_json(store.root / "store.json", {"version": store_module.STORE_VERSION + 1})
        with pytest.raises(UserError, match=r"was written by a newer cliffkit .*upgrade, or name another folder"):
            Store(store.root)

    @pytest.mark.parametrize("stamp", ["", "{}", "[]", "3", '{"version": "new"}', '{"version": null}'])
    def test_a_broken_stamp_is_refused(self, store, stamp):
        (store.root / "store.json").write_text(stamp)
        with pytest.raises(UserError, match=f"^{store.root}: cannot be used as the runs folder: .*--runs"):
            Store(store.root)

    @pytest.mark.parametrize("inside", ["", "below"])
    def test_a_file_in_its_place_is_refused(self, tmp_path, inside):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(UserError, match=r"cannot be used as the runs folder: .*name a writable one with --runs"):
            Store(tmp_path / "file" / inside)
        assert (tmp_path / "file").read_text() == "mine"

    def test_a_folder_that_may_not_be_written_is_refused(self, store, monkeypatch):
        monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # as root, any mode may be written
        with pytest.raises(UserError, match=r"cannot be used as the runs folder: .*not writable"):
            Store(store.root)


class TestWriting:
    def test_replaces_a_file_whole(self, tmp_path):
        path = tmp_path / "a.txt"
        write_text(path, "one")
        write_text(path, "zwei ä")
        assert path.read_text(encoding="utf-8") == "zwei ä"
        assert files(tmp_path) == {"a.txt"}

    @pytest.mark.parametrize("error", [ValueError, Interrupt])
    def test_that_fails_leaves_what_was_and_nothing_else(self, tmp_path, error):
        def half(temporary):
            temporary.write_text("half")
            raise error

        path = tmp_path / "a.txt"
        with pytest.raises(error):
            write_atomic(path, half)
        assert files(tmp_path) == set()
        path.write_text("whole")
        with pytest.raises(error):
            write_atomic(path, half)
        assert files(tmp_path) == {"a.txt"}
        assert path.read_text() == "whole"

    def test_the_file_is_never_seen_half(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text("whole")
        seen = []

        def slowly(temporary):
            with temporary.open("w") as file:
                for text in ("one", "two"):
                    file.write(text)
                    file.flush()
                    seen.append(path.read_text())

        write_atomic(path, slowly)
        assert seen == ["whole", "whole"]
        assert path.read_text() == "onetwo"

    def test_json_has_no_nan(self, tmp_path):
        with pytest.raises(ValueError, match="JSON compliant"):
            write_json(tmp_path / "a.json", {"loss": float("nan")})
        assert files(tmp_path) == set()
        write_json(tmp_path / "a.json", {"loss": 1e-300})
        assert json.loads((tmp_path / "a.json").read_text()) == {"loss": 1e-300}


class TestReplacingFolders:
    @pytest.fixture
    def source(self, tmp_path):
        (tmp_path / "new" / "sub").mkdir(parents=True)
        (tmp_path / "new" / "sub" / "a").write_text("new")
        return tmp_path / "new"

    def test_in_the_place_of_nothing(self, source, tmp_path):
        replace_folder(source, tmp_path / "target")
        assert files(tmp_path) == {"target/sub/a"}
        assert not source.exists()

    def test_in_the_place_of_another(self, source, tmp_path):
        (tmp_path / "target").mkdir()
        (tmp_path / "target" / "old").write_text("old")
        replace_folder(source, tmp_path / "target")
        assert files(tmp_path) == {"target/sub/a"}

    def test_interrupted_between_its_steps_it_leaves_the_new_or_the_old_whole(self, source, tmp_path, monkeypatch):
        (tmp_path / "target").mkdir()
        (tmp_path / "target" / "old").write_text("old")
        rename, renamed = os.rename, []

        def once(*paths):
            if renamed:
                raise Interrupt
            renamed.append(paths)
            rename(*paths)

        monkeypatch.setattr(os, "rename", once)
        with pytest.raises(Interrupt):
            replace_folder(source, tmp_path / "target")
        assert files(source) == {"sub/a"}


class TestLink:
    def test_gives_a_file_a_second_name(self, tmp_path):
        (tmp_path / "a").write_text("a")
        (tmp_path / "b").write_text("b")
        link(tmp_path / "a", tmp_path / "b")
        assert (tmp_path / "b").samefile(tmp_path / "a")

    def test_copies_where_there_are_no_links(self, tmp_path, monkeypatch):
        def refused(*_):
            raise OSError(1, "no hard links here")

        monkeypatch.setattr(os, "link", refused)
        (tmp_path / "a").write_text("a")
        link(tmp_path / "a", tmp_path / "b")
        assert (tmp_path / "b").read_text() == "a"
        assert not (tmp_path / "b").samefile(tmp_path / "a")


def test_a_name_is_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    name = "a" * os.pathconf(tmp_path, "PC_NAME_MAX")
    write_text(tmp_path / name, "whole")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "whole")]


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path):
    runs = tmp_path / "runs"
    Store(runs)
    script = (
        "import os, signal, sys; from pathlib import Path; from cliffkit.store.files import write_atomic\n"
        "def write(path): path.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomic(Path(sys.argv[1]), write)"
    )
    for name in ("runs/paces.json", "other/paces.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-c", script, str(tmp_path / name)], check=False)
    (half,) = (tmp_path / "other").iterdir()
    assert len(files(runs)) == 2

    mine = half.with_name(half.name.replace(half.name.split(".")[-2], str(os.getpid())))
    elsewhere = half.with_name(half.name.replace(half.name.split(".")[-3], "0" * 8))
    for path in (mine, elsewhere, half.with_name(".other.tmp")):
        path.write_text("")
    remove_leftovers(half.parent)
    assert files(half.parent) == {mine.name, elsewhere.name, ".other.tmp"}

    Store(runs).tidy()
    assert files(runs) == {"store.json"}
