"""Options and surroundings that commands share."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from lakecdp.platform.errors import UsageError

if TYPE_CHECKING:
    from lakecdp.pipeline import JobSpec
    from lakecdp.platform.job import Job

# A pipe has no width: tables and progress lines are not folded for it. Texts are shown as they are:
# Rich would take what stands between brackets as a style and `:email:` as a picture.
console = Console(
    width=None if sys.stdout.isatty() else 160, markup=False, emoji=False, highlight=False
)

Env = Annotated[str, typer.Option("--env", help="Environment: conf/<env>.yaml.")]
LakeUri = Annotated[str | None, typer.Option("--lake", help="Folder or URI of the lake.")]
Landing = Annotated[str | None, typer.Option("--landing", help="Folder or URI of source files.")]
ConfDir = Annotated[
    Path | None, typer.Option("--conf", help="Folder of YAML laid over the shipped conf/.")
]
RunDate = Annotated[
    str | None, typer.Option("--run-date", help="Date the run stands for; default today.")
]
SourceName = Annotated[str | None, typer.Option("--source", help="Only this source.")]
Approver = Annotated[
    str | None, typer.Option("--approve-as", help="Approve a better model in this person's name.")
]
Format = Annotated[
    Literal["table", "csv", "json"], typer.Option("--format", help="How rows are printed.")
]


@contextmanager
def opened(
    env: str,
    lake: str | None,
    conf: Path | None,
    *,
    landing: str | None = None,
    run_date: str | None = None,
    source: str | None = None,
    approve_as: str | None = None,
    writes: bool = True,
) -> Iterator[Job]:
    """A job on the lake; holds the lease while it may write."""
    from lakecdp.platform.job import Job, lake_lease
    from lakecdp.platform.session import build_session
    from lakecdp.platform.settings import Conf, load_settings

    day = day_of(run_date)
    rules = Conf(conf)
    settings = load_settings(rules, env, lake=lake, landing=landing)
    if settings.lake is None:
        raise UsageError("No lake: give --lake, or set `lake` in the settings of the environment.")
    with console.status("starting Spark"):
        spark = build_session(settings.spark)

    def job() -> Job:
        return Job(spark, settings, rules, day, source=source, approve_as=approve_as)

    if not writes:
        yield job()
        return
    with lake_lease(spark, settings):
        yield job()


def day_of(text: str | None, option: str = "--run-date") -> date:
    """The day that an option names; today in UTC when it is left out."""
    if text is None:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option} is {text!r}, which is no date; write it as 2026-11-01."
        ) from None


def run_jobs(job: Job, specs: Iterable[JobSpec]) -> int:
    """Run jobs one after the other, show what came of them, and give the exit status."""
    from lakecdp.runner import run_pipeline, summary_table

    outcome = run_pipeline(job, [*specs], console)
    console.print()
    console.print(summary_table(outcome))
    for s in outcome.summaries:
        if s.message and s.outcome != "failed":
            console.print(f"{s.job} {s.unit}: {s.message}")
    for sentence in [*outcome.notes, *outcome.failures]:
        print(f"lakecdp: {sentence}", file=sys.stderr)
    console.print(f"{outcome.seconds:.0f} s")
    return outcome.exit_code


def tell(lines: Iterable[str]) -> None:
    """Print sentences as they are, however long."""
    for line in lines:
        console.print(line, soft_wrap=True)
