"""A job is done with the code that its key names, or not at all."""

from __future__ import annotations

from cliffkit.errors import UserError
from cliffkit.store.job import Job


def check_code(job: Job) -> None:
    """Compare the code that this process would compute with to the code that a job's key names.

    Raises UserError where they differ: a file was edited after the job was planned.
    """
    for part in job.parts:
        part.component.check_current()
        identity = part.component.identity()
        if identity.code != part.code:
            raise UserError(
                f"{part.component}: {identity.where}, or what it imports, was edited after this job was planned; "
                "put it back and try again (ablate: --retry-failed), or start again as it is: then whatever uses the "
                "part is done anew"
            )
