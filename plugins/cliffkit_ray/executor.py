"""Workers of a Ray cluster. Ray replaces those that die and begins their work again, from its checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Annotated, Any

from pydantic import Field

from cliffkit.errors import UserError
from cliffkit.interfaces import Executor, Place, Result, Task

RETRIES = 3
"""How often a piece of work is begun again after its worker or node died: one that kills its worker must end."""


Cpus = Annotated[int, Field(gt=0)]


class RayCluster(Executor):
    """One job per GPU of the cluster, or per `cpus` of its processors where it has none.

    Every node must see the runs folder under the same path, on a shared file system with locks.

    Options:
        address: Address of the cluster, as `auto` or `ray://host:10001`; empty for the cluster that this machine
            belongs to, else for a new one of this machine alone.
        cpus: Processors that each job gets, beside a GPU where the cluster has any.
    """

    def __init__(self, workers: int | None, device: str, *, address: str = "", cpus: Cpus = 1) -> None:
        try:
            import ray
        except ImportError as error:
            raise UserError("executor 'ray' needs Ray; install it with: pip install 'cliffkit[ray]'") from error
        self._ray: Any = ray
        try:
            self._ray.init(
                address=address or None, ignore_reinit_error=True, log_to_driver=False, logging_level="warning"
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"no Ray cluster answers at address '{address}': {error}; `ray status` must show it"
            ) from error
        resources = self._ray.cluster_resources()
        gpus = 0 if device == "cpu" else int(resources.get("GPU", 0))
        self.place = Place("cuda" if gpus else "cpu" if device == "auto" else device, cpus)
        self._options = {"num_gpus": 1, "num_cpus": cpus} if gpus else {"num_cpus": cpus}
        room = max(1, int(resources.get("CPU", 1)) // cpus)
        self.slots = workers or (min(gpus, room) if gpus else room)
        self.choices = [self.slots]

    def resize(self, slots: int) -> None:
        """Take the number; Ray spreads the work."""
        self.slots = slots

    def submit(self, work: Callable[[Task, Place], Result], task: Task) -> Future[Result]:
        """Begin a piece of work on whichever node has room."""
        remote = self._ray.remote(max_retries=RETRIES, **self._options)(work)
        inner: Future[Result] = remote.remote(task, self.place).future()
        outer: Future[Result] = Future()
        outer.set_running_or_notify_cancel()
        inner.add_done_callback(lambda done: self._pass_on(done, outer))
        return outer

    def close(self) -> None:
        """Leave the cluster; a cluster of this process ends."""
        self._ray.shutdown()

    def _pass_on(self, inner: Future[Result], outer: Future[Result]) -> None:
        try:
            outer.set_result(inner.result())
        except self._ray.exceptions.RayTaskError as error:
            outer.set_exception(error.cause)
        except self._ray.exceptions.RayError as error:
            reason = f"its worker died {RETRIES + 1} times: {str(error).strip().splitlines()[0]}"
            outer.set_exception(UserError(reason))
        except BaseException as error:
            outer.set_exception(error)
