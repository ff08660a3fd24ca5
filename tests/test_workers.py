"""No process outlives the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from cliffkit.workers import available_cores, in_order

PARENT = """\
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from cliffkit.workers import begin_worker
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, get_context("spawn"), begin_worker)
    print(pool.submit(pow, 2, 3).result(), flush=True)
    time.sleep(60)
"""


BARE = """\
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from cliffkit.workers import without_main
print("the script", flush=True)
with ProcessPoolExecutor(1, get_context("spawn")) as pool:
    with without_main():
        future = pool.submit(pow, 2, 3)
    print(future.result(), __name__, flush=True)
"""


def test_a_script_needs_no_guard_of_its_main_part(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(BARE)
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout == "the script\n8 __main__\n", ran.stderr


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent(tmp_path, how):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=os.environ) as parent:
        assert parent.stdout.readline() == b"8\n"
        children = psutil.Process(parent.pid).children(recursive=True)
        assert children
        parent.send_signal(how)
        parent.wait(10)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def test_ctrl_c_is_left_to_the_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT.replace("time.sleep(60)", "input(); print(pool.submit(abs, -4).result(), flush=True)"))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, script], env=os.environ, **pipes) as parent:
        assert parent.stdout.readline() == b"8\n"
        children = psutil.Process(parent.pid).children()
        workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        assert workers
        for worker in workers:
            worker.send_signal(signal.SIGINT)
        out, _ = parent.communicate(b"\n", 30)
    assert (out, parent.returncode) == (b"4\n", 0)


def test_work_comes_in_order_and_a_failure_in_its_place():
    begun = []

    def work(item):
        begun.append(item)
        time.sleep(0.002 * (item % 3))
        if item == 17:
            raise ValueError("the seventeenth")
        return item * item

    assert list(in_order(work, [], 2)) == []
    assert list(in_order(work, range(16), 3)) == [item * item for item in range(16)]
    begun.clear()
    results = in_order(work, iter(range(100)), 2)
    assert next(results) == 0
    assert len(begun) <= 5, "no more than two items a thread ahead"
    with pytest.raises(ValueError, match="the seventeenth"):
        list(results)
    assert len(begun) < 30


def test_the_cores_that_count_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5})
    assert available_cores() == 3


@pytest.mark.parametrize(("count", "cores"), [(6, 6), (None, 1)])
def test_a_system_without_affinity_offers_every_core(monkeypatch, count, cores):
    """As macOS does."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert available_cores() == cores
