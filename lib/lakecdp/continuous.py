"""The pipeline again and again: near real time is the same jobs with another trigger."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date

from rich.console import Console

from lakecdp.pipeline import JobSpec
from lakecdp.platform.errors import LakecdpError
from lakecdp.platform.job import Job
from lakecdp.runner import Outcome, run_pipeline

FIRST = "01_bronze"


@dataclass
class Progress:
    """What the rounds before leave to this one.

    Attributes:
        day: the run date of the last round that went well to its end; None: later jobs are due.
        told: the failures of the last round, which are not told again.
        failed: whether the last round failed.
    """

    day: date | None = None
    told: list[str] = field(default_factory=list)
    failed: bool = False


def repeat(
    surroundings: Callable[[], AbstractContextManager[Job]],
    specs: Sequence[JobSpec],
    pause: float,
    console: Console,
) -> int:
    """Run rounds until Ctrl-C or SIGTERM; what is under way then is brought to its end first.

    Each round takes the lease, reads settings and rules anew and gives the lease back, so that
    other runs get their turn in the pauses. A round that fails is told, and tried again.

    Args:
        surroundings: opens the lake for a round.
        specs: the jobs.
        pause: seconds between two rounds.
        console: where rounds are told.

    Returns:
        the exit code: 1 when the last round failed.

    Raises:
        LakecdpError: the first round cannot begin.
    """
    stop, progress, began = threading.Event(), Progress(), False
    while not stop.is_set():
        try:
            with surroundings() as job:
                _listen(stop, console)
                began = True
                one_round(job, specs, progress, console)
        except LakecdpError as e:
            if not began:
                raise
            _tell(progress, [str(e)])
        stop.wait(pause)
    return int(progress.failed)


def one_round(
    job: Job, specs: Sequence[JobSpec], progress: Progress, console: Console
) -> list[Outcome]:
    """Land what is new; run the other jobs when there was something, or a new day has begun."""
    quiet, begin = Console(quiet=True), time.monotonic()
    head = [s for s in specs if s.stage == FIRST]
    tail = [s for s in specs if s.stage != FIRST]
    done = [run_pipeline(job, head, quiet)] if head else []
    rows = sum(s.rows_out or 0 for o in done for s in o.summaries)
    news = any(s.outcome in ("published", "warned") for o in done for s in o.summaries)
    due = news or not head or progress.day != job.run_date
    if due and tail:
        # Until it has gone well, a later round does it again although nothing more is new.
        progress.day = None
        done.append(run_pipeline(job, tail, quiet))
        if not done[-1].failures:
            progress.day = job.run_date
    if due:
        seconds = time.monotonic() - begin
        jobs = specs[-1].name
        console.print(f"{rows:,} records to {jobs} in {seconds:.1f} s")
    _tell(progress, [f for o in done for f in o.failures])
    return done


def _tell(progress: Progress, failures: list[str]) -> None:
    for sentence in failures:
        if sentence not in progress.told:
            sys.stderr.write(f"lakecdp: {sentence}\n")
            sys.stderr.flush()
    progress.told, progress.failed = failures, bool(failures)


def _listen(stop: threading.Event, console: Console) -> None:
    """End after the round on the first signal, at once on the second.

    Spark sets a handler of its own for Ctrl-C when it starts, so this comes after it.
    """

    def asked(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        stop.set()
        console.print("ending after this round; once more ends at once")

    if not stop.is_set():
        signal.signal(signal.SIGINT, asked)
        signal.signal(signal.SIGTERM, asked)
