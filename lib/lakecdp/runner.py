"""The whole pipeline in one session, with a progress display."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import ModuleType

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lakecdp.pipeline import JobSpec
from lakecdp.platform import shipped
from lakecdp.platform.errors import LakecdpError
from lakecdp.platform.fs import java_message
from lakecdp.platform.job import Job
from lakecdp.platform.ledger import LedgerError
from lakecdp.platform.part import Summary
from lakecdp.platform.session import cores


def lanes() -> int:
    """How many jobs run at a time: one keeps two cores busy, compilers and collector included."""
    return 2 if cores() >= 4 else 1


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
    """Run jobs, with four cores two at a time where neither waits for what the other writes.

    Each of two jobs has a session of its own; the ledger publishes one after the other.

    Jobs that the settings switch off are left out.

    A job that fails ends the run, since later ones read what it writes: no other begins. A source
    that fails within a job does not.

    Raises:
        UsageError: a job finds its rules or its use wrong.
    """
    outcome = Outcome()
    start = time.monotonic()
    off = [s.name for s in specs if not job.settings.runs(s.name)]
    specs = [s for s in specs if s.name not in off]
    if off:
        console.print(f"switched off in the settings: {', '.join(off)}")
    done: dict[str, Job] = {}
    stopped: list[LakecdpError] = []
    waiting, running = longest_first(specs), dict[Future[Told], JobSpec]()
    free = [job.lake.beside() for _ in range(lanes() - 1)] + [job.lake]
    with console.status("") as shown, ThreadPoolExecutor(len(free), "lakecdp-job") as threads:
        while running or waiting:
            for spec in ready(waiting, running.values())[: len(free)]:
                waiting.remove(spec)
                this = job.named(spec.name, free.pop())
                running[threads.submit(_run_one, this, spec)] = spec
            shown.update(", ".join(s.does for s in running.values()))
            for future in _next(job, running):
                spec, told = running.pop(future), future.result()
                this = done[spec.name] = told.job
                free.append(this.lake)
                outcome.failures += this.failures + ([told.failed] if told.failed else [])
                stopped += [told.misuse] if told.misuse else []
                if told.failed or told.misuse:
                    waiting = []
                if not told.misuse:
                    label = f"[{len(done)}/{len(specs)}] {spec.does}"
                    console.print(_progress(label, told))
    try:
        job.ledger.flush()
    except LedgerError as e:
        outcome.failures += [] if outcome.failures else [str(e)]
    for spec in specs:
        outcome.summaries += done[spec.name].summaries if spec.name in done else []
        outcome.notes += done[spec.name].notes if spec.name in done else []
    if stopped:
        raise stopped[0]
    outcome.seconds = time.monotonic() - start
    return outcome


def longest_first(specs: Sequence[JobSpec]) -> list[JobSpec]:
    """Jobs by the number of steps that wait for each, most first; else as they are given."""

    def steps(name: str) -> int:
        return 1 + max((steps(s.name) for s in specs if name in s.after), default=0)

    return sorted(specs, key=lambda s: -steps(s.name))


def ready(waiting: Sequence[JobSpec], running: Iterable[JobSpec]) -> list[JobSpec]:
    """The waiting jobs that wait for no other, be it waiting or running."""
    ahead = {s.name for s in (*waiting, *running)}
    return [s for s in waiting if not ahead & set(s.after)]


def _next(job: Job, running: Iterable[Future[Told]]) -> set[Future[Told]]:
    """The jobs that end next; on Ctrl-C those under way are ended, and restored, first."""
    try:
        return wait(running, return_when=FIRST_COMPLETED).done
    except KeyboardInterrupt:
        job.ledger.stop.asked = True
        while wait(running, timeout=1.0).not_done:
            job.ledger.stop.cancel(job.spark)
        raise


@dataclass
class Told:
    """How a job ended: well, or with a sentence, or with what is wrong with its rules or use."""

    job: Job
    failed: str | None = None
    misuse: LakecdpError | None = None
    seconds: float = 0.0


def _run_one(job: Job, spec: JobSpec) -> Told:
    began, told = time.monotonic(), Told(job)
    job.log.info("%s begins", spec.name)
    try:
        load_job(spec)(job)
    except LakecdpError as e:
        if e.exit_code == 2:
            told.misuse = e
        else:
            told.failed = f"{spec.name} failed: {e}"
    except Exception as e:
        logging.getLogger("lakecdp").debug("%s failed", spec.name, exc_info=True)
        told.failed = f"{spec.name} failed: {java_message(e)}"
    told.seconds = time.monotonic() - began
    return told


def _progress(label: str, told: Told) -> Text:
    job, seconds = told.job, told.seconds
    if told.failed:
        return Text.assemble(f"{label:<48} ", ("failed", "red"), f"    {seconds:6.1f} s")
    outcomes = {s.outcome for s in job.summaries}
    state = next((o for o in ("failed", "warned", "published") if o in outcomes), "unchanged")
    colour = {"published": "green", "warned": "yellow", "failed": "red"}.get(state, "dim")
    rows = sum(s.rows_out or 0 for s in job.summaries)
    tail = f"  {rows:>11,} rows" if rows else ""
    return Text.assemble(f"{label:<48} ", (f"{state:<10}", colour), f"{seconds:6.1f} s{tail}")


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
