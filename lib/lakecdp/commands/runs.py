"""The pipeline and the company it is tried on."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lakecdp.commands.options import (
    Approver,
    ConfDir,
    Env,
    Format,
    LakeUri,
    Landing,
    RunDate,
    SourceName,
    console,
    day_of,
    opened,
    run_jobs,
)
from lakecdp.platform.errors import UsageError

if TYPE_CHECKING:
    from lakecdp.platform.job import Job
    from lakecdp.platform.settings import Conf
    from lakecdp.simulator import SimulatorSettings

app = typer.Typer()


@app.command()
def run(
    env: Env,
    lake: LakeUri = None,
    landing: Landing = None,
    conf: ConfDir = None,
    run_date: RunDate = None,
    first: Annotated[str | None, typer.Option("--from", help="First job or stage.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last job or stage.")] = None,
    source: SourceName = None,
    approve_as: Approver = None,
    trigger: Annotated[
        Literal["available-now", "continuous"],
        typer.Option("--trigger", help="Once, or again and again, to the tags, until Ctrl-C."),
    ] = "available-now",
    pause: Annotated[
        float, typer.Option("--pause", min=0, help="Seconds between two rounds of continuous.")
    ] = 60,
) -> None:
    """Run the pipeline, from what is new in the sources to the report, in one session."""
    from lakecdp.pipeline import between

    if trigger == "continuous":
        last = last or "04_tags"
    try:
        specs = between(first, last)
    except ValueError as e:
        raise UsageError(f"--from/--to: {e}.") from None
    if trigger == "continuous":
        from lakecdp.continuous import repeat

        def surroundings() -> AbstractContextManager[Job]:
            return opened(
                env,
                lake,
                conf,
                landing=landing,
                run_date=run_date,
                source=source,
                approve_as=approve_as,
            )

        raise typer.Exit(repeat(surroundings, specs, pause, console))
    with opened(
        env, lake, conf, landing=landing, run_date=run_date, source=source, approve_as=approve_as
    ) as job:
        code = run_jobs(job, specs)
    raise typer.Exit(code)


def simulator_settings(conf: Conf) -> SimulatorSettings:
    """The company of conf/simulator.yaml."""
    from lakecdp.platform import yamlfile
    from lakecdp.simulator import SimulatorSettings

    return yamlfile.parse(conf.document("simulator.yaml"), SimulatorSettings)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--dir", help="Where the demo company lives.")] = Path(
        "build/demo"
    ),
) -> None:
    """Make a small company, run every stage on it and show the report's path."""
    from lakecdp.pipeline import DAILY
    from lakecdp.simulator import simulate

    base = folder.resolve()
    landing, truth = base / "landing", base / "truth"
    with opened(
        "demo",
        str(base / "lake"),
        None,
        landing=str(landing),
        run_date=None,
        approve_as="demo reviewer",
    ) as job:
        settings = simulator_settings(job.conf)
        job.run_date = settings.last_day
        done = base / "landing.done"
        if not done.exists():
            with console.status("making the company"):
                counts = simulate(job.spark, settings, str(landing), str(truth))
            done.write_text("")
            console.print(f"made a company: {sum(counts.values()):,} records in {landing}")
        code = run_jobs(job, DAILY)
    raise typer.Exit(code)


@app.command("simulate")
def simulate_command(
    landing: Annotated[str, typer.Option("--landing", help="Folder or URI for the files.")],
    truth: Annotated[str, typer.Option("--truth", help="Folder or URI for what is true of them.")],
    conf: ConfDir = None,
    first_day: Annotated[
        str | None, typer.Option("--first-day", help="First day to deliver.")
    ] = None,
    last_day: Annotated[str | None, typer.Option("--last-day", help="Last day to deliver.")] = None,
) -> None:
    """Write the files of a simulated company, and the truth about it."""
    from lakecdp.platform.session import build_session
    from lakecdp.platform.settings import Conf, load_settings
    from lakecdp.simulator import simulate

    rules = Conf(conf)
    settings = simulator_settings(rules)
    spark = build_session(load_settings(rules, "demo").spark)
    first = day_of(first_day, "--first-day") if first_day else None
    last = day_of(last_day, "--last-day") if last_day else None
    for name, rows in simulate(spark, settings, landing, truth, first, last).items():
        console.print(f"{name:<14}{rows:>12,}")


@app.command()
def status(
    env: Env = "dev",
    lake: LakeUri = None,
    conf: ConfDir = None,
    how: Format = "table",
    limit: Annotated[int, typer.Option("--limit", help="Batches to show.")] = 20,
    amounts: Annotated[
        bool, typer.Option("--amounts", help="What records of a source amounted to, and became of.")
    ] = False,
) -> None:
    """Show the last batches of the run ledger."""
    from lakecdp.query import query, show

    shown = (
        "inline(amounts)"
        if amounts
        else "outcome, seconds, rows_in, rows_out, rows_duplicate, rows_quarantined, message"
    )
    text = (
        f"SELECT run_seq, job, unit, run_date, {shown} FROM operations.run "
        f"{'WHERE amounts IS NOT NULL ' if amounts else ''}"
        f"ORDER BY finished_at DESC, run_seq DESC LIMIT {limit}"
    )
    with opened(env, lake, conf, writes=False) as job:
        show(query(job, text), how, console)
