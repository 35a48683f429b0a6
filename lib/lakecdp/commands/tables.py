"""Published tables: what is in them, and what is out of the ordinary."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakecdp.commands.options import (
    ConfDir,
    Env,
    Format,
    LakeUri,
    RunDate,
    console,
    day_of,
    opened,
    tell,
)

app = typer.Typer()
quality_app = typer.Typer(no_args_is_help=True, help="What the tables are held to.")


@app.command()
def sql(
    text: Annotated[str, typer.Argument(help="A query over tables such as silver.order.")],
    env: Env = "dev",
    lake: LakeUri = None,
    conf: ConfDir = None,
    how: Format = "table",
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="The lake as published by this day.")
    ] = None,
    links_of: Annotated[
        str | None,
        typer.Option("--links-of", help="Customers as the links of this day make them."),
    ] = None,
) -> None:
    """Query the published tables."""
    from lakecdp.query import query, show

    with opened(env, lake, conf, writes=False) as job:
        day = day_of(as_of, "--as-of") if as_of else None
        links = day_of(links_of, "--links-of") if links_of else None
        show(query(job, text, day, links), how, console)


@app.command()
def tables(
    env: Env = "dev", lake: LakeUri = None, conf: ConfDir = None, how: Format = "table"
) -> None:
    """List the published tables: version, rows, grain."""
    from lakecdp.query import show
    from lakecdp.query import tables as listed

    with opened(env, lake, conf, writes=False) as job:
        show(listed(job), how, console)


@app.command()
def coverage(
    env: Env = "dev",
    lake: LakeUri = None,
    conf: ConfDir = None,
    run_date: RunDate = None,
    days: Annotated[int, typer.Option("--days", min=1, help="Days up to the run date.")] = 30,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Files and violations to show.")
    ] = 12,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 3 when a target is missed.")
    ] = False,
) -> None:
    """Show what arrived of what was expected, by channel, and where tracking is not as planned."""
    from lakecdp.insight.covered import coverage_lines, measured

    with opened(env, lake, conf, run_date=run_date, writes=False) as job:
        found = measured(job, days, limit)
    tell(coverage_lines(found))
    if strict and found.missed:
        raise typer.Exit(3)


@app.command("alerts")
def alerts_command(
    env: Env = "dev",
    lake: LakeUri = None,
    conf: ConfDir = None,
    how: Format = "table",
    every: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    limit: Annotated[int, typer.Option("--limit", help="Alerts to show.")] = 50,
) -> None:
    """Show what is out of the ordinary: open alerts, those that fail first."""
    from lakecdp.query import show

    with opened(env, lake, conf, writes=False) as job:
        rows = job.read("operations.alert").where("true" if every else "state = 'open'")
        rows = rows.orderBy(
            "state", "severity", rows["day"].desc(), "table_name", "source", "metric"
        )
        shown = ("state", "severity", "day", "sentence", "opened_on", "closed_because", "told")
        show(rows.select(*shown), how, console, limit)


@quality_app.command("docs")
def quality_docs(
    to: Annotated[Path, typer.Option("--to", help="Folder for the pages.")],
    env: Env = "dev",
    lake: LakeUri = None,
    conf: ConfDir = None,
) -> None:
    """Write Great Expectations' Data Docs: what each table is held to, and its last gate."""
    from lakecdp.datadocs import build

    with opened(env, lake, conf, writes=False) as job:
        console.print(f"Data Docs: {build(job, to)}")
