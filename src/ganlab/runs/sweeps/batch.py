"""A batch of jobs, given as lists of options, as Hydra's launchers run them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus

from ganlab.runs.sweeps import job, words
from ganlab.runs.sweeps.job import JobFailedError
from ganlab.runs.sweeps.launcher import Pool, Task
from ganlab.runs.sweeps.record import Sweep


def run(folder: str, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Train a batch of jobs with ganlab's own launcher.

    Args:
        folder: Hydra's, inside of the sweep's.
        overrides: The options that vary, of each job.
        first: The number of the first job.
    """
    sweep = Sweep.read(Path(folder).parent)
    sweep.add([(first + place, words.values(options)) for place, options in enumerate(overrides)])
    with Pool.of(sweep) as pool:
        tasks = [pool.submit(first + place) for place in range(len(overrides))]
    return [returned(task, options, sweep.parsed.searches) for task, options in zip(tasks, overrides, strict=True)]


def returned(task: Task, overrides: Sequence[str], searches: bool) -> JobReturn:
    """The outcome of a job as Hydra's sweepers read it."""
    found = JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED)
    try:
        found.return_value = job.result(task.result())
    except JobFailedError as error:
        if searches:  # the grid would start no other batch
            found.status, found.return_value = JobStatus.FAILED, error
    return found
