"""The whole pipeline in one session, with a progress display."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Callable, Sequence
from types import ModuleType

from rich.console import Console
from rich.table import Table

from lakecdp.pipeline import JobSpec
from lakecdp.platform import shipped
from lakecdp.platform.batch import Summary
from lakecdp.platform.errors import LakecdpError
from lakecdp.platform.fs import java_message
from lakecdp.platform.job import Job


def load_job(spec: JobSpec) -> Callable[[Job], None]:
    """The `run` function of a job file."""
    path = shipped.root() / "jobs" / f"{spec.name}.py"
    module_spec = importlib.util.spec_from_file_location(f"lakecdp_jobs_{spec.task}", path)
    if module_spec is None or module_spec.loader is None or not path.is_file():
        raise LakecdpError(f"The job {spec.name} is missing from this installation ({path}).")
    module: ModuleType = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    run: Callable[[Job], None] = module.run
    return run


class Outcome:
    """What a run did: summaries of all batches, failures in sentences, seconds.

    Attributes:
        summaries: what each batch did, in order.
        failures: one sentence for each part that failed.
        notes: what else is to be said, in sentences.
        seconds: duration of the whole run.
    """

    def __init__(self) -> None:
        self.summaries: list[Summary] = []
        self.failures: list[str] = []
        self.notes: list[str] = []
        self.seconds = 0.0

    @property
    def exit_code(self) -> int:
        """0 done, 1 failed, 3 done but a gate warned."""
        if self.failures:
            return 1
        return 3 if any(s.outcome == "warned" for s in self.summaries) else 0


def run_pipeline(job: Job, specs: Sequence[JobSpec], console: Console) -> Outcome:
    """Run jobs one after another in the session of `job`.

    A job that fails ends the run, since later ones read what it writes; a source that fails within
    a job does not.
    """
    outcome = Outcome()
    start = time.monotonic()
    for number, spec in enumerate(specs, 1):
        label = f"[{number}/{len(specs)}] {spec.does}"
        began = time.monotonic()
        this = job.named(spec.name)
        with console.status(label):
            failed = _run_one(this, spec)
        outcome.summaries += this.summaries
        outcome.notes += this.notes
        outcome.failures += this.failures + ([failed] if failed else [])
        console.print(_progress(label, this, failed, time.monotonic() - began), highlight=False)
        if failed:
            break
    job.ledger.flush()
    outcome.seconds = time.monotonic() - start
    return outcome


def _run_one(job: Job, spec: JobSpec) -> str | None:
    try:
        load_job(spec)(job)
    except LakecdpError as e:
        if e.exit_code == 2:
            job.ledger.flush()
            raise
        return f"{spec.name} failed: {e}"
    except Exception as e:
        logging.getLogger("lakecdp").debug("%s failed", spec.name, exc_info=True)
        return f"{spec.name} failed: {java_message(e)}"
    return None


def _progress(label: str, job: Job, failed: str | None, seconds: float) -> str:
    if failed:
        return f"{label:<48} [red]failed[/]    {seconds:6.1f} s"
    outcomes = {s.outcome for s in job.summaries}
    state = next((o for o in ("failed", "warned", "published") if o in outcomes), "unchanged")
    colour = {"published": "green", "warned": "yellow", "failed": "red"}.get(state, "dim")
    rows = sum(s.rows_out or 0 for s in job.summaries)
    tail = f"  {rows:>11,} rows" if rows else ""
    return f"{label:<48} [{colour}]{state:<10}[/]{seconds:6.1f} s{tail}"


def summary_table(outcome: Outcome) -> Table:
    """All batches of a run as a table."""
    table = Table(title=None, box=None, pad_edge=False)
    table.add_column("job")
    table.add_column("part")
    table.add_column("outcome")
    for name in ("in", "out", "duplicate", "quarantined", "seconds"):
        table.add_column(name, justify="right")
    for s in outcome.summaries:
        counts = [s.rows_in, s.rows_out, s.rows_duplicate, s.rows_quarantined]
        cells = ["" if c is None else f"{c:,}" for c in counts]
        table.add_row(s.job, s.unit, s.outcome, *cells, f"{s.seconds:.1f}")
    return table
