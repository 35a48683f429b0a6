"""Sources, their mappings, and records kept aside."""

from __future__ import annotations

from typing import Annotated

import typer

from lakecdp.commands.options import (
    ConfDir,
    Env,
    Format,
    LakeUri,
    Landing,
    RunDate,
    SourceName,
    console,
    opened,
    run_jobs,
    tell,
)

source_app = typer.Typer(no_args_is_help=True, help="Sources and their mappings.")
quarantine_app = typer.Typer(no_args_is_help=True, help="Records kept aside.")


@source_app.command("list")
def source_list(env: Env = "dev", conf: ConfDir = None) -> None:
    """List the sources in use and check their mappings."""
    from lakecdp.bronze.mapping import ADAPTERS, load_sources
    from lakecdp.platform.settings import Conf, load_settings

    rules = Conf(conf)
    in_use = load_sources(rules, load_settings(rules, env))
    names_in_use = {s.mapping.source for s in in_use}
    for source in in_use:
        m = source.mapping
        names = ", ".join(m.silver_tables)
        console.print(
            f"{m.source:<20}{m.format:<6}{m.place} -> {names}",
        )
    idle = [p.stem for p in rules.folder(ADAPTERS) if p.stem not in names_in_use]
    if idle:
        console.print(f"Adapters not in use: {', '.join(idle)}")


@source_app.command("check")
def source_check(
    mapping: Annotated[
        str, typer.Argument(help="File of a mapping, or the name of a source or adapter.")
    ],
    path: Annotated[str, typer.Argument(help="A file, or the folder where files arrive.")],
    env: Env = "dev",
    lake: LakeUri = None,
    conf: ConfDir = None,
) -> None:
    """Show what a mapping makes of files: columns, failures, identifiers; write nothing."""
    from lakecdp.bronze.mapping import find_source
    from lakecdp.platform.session import build_session
    from lakecdp.platform.settings import Conf, load_settings
    from lakecdp.sourcecheck import check_lines

    rules = Conf(conf)
    settings = load_settings(rules, env, lake=lake)
    find_source(rules, mapping)
    if lake is not None:
        with opened(env, lake, conf, writes=False) as job:
            tell(check_lines(job.spark, rules, settings, mapping, path, job))
        return
    with console.status("starting Spark"):
        spark = build_session(settings.spark)
    tell(check_lines(spark, rules, settings, mapping, path, None))


@quarantine_app.command("list")
def quarantine_list(
    env: Env = "dev",
    lake: LakeUri = None,
    conf: ConfDir = None,
    source: SourceName = None,
    how: Format = "table",
    limit: Annotated[int, typer.Option("--limit", help="Records to show.")] = 50,
) -> None:
    """Show the records kept aside, with file, line and reason."""
    from lakecdp.query import show

    with opened(env, lake, conf, writes=False) as job:
        rows = job.read("silver.quarantine").where("status = 'open'")
        if source:
            rows = rows.where(rows["source"] == source)
        shown = rows.select("source", "file", "line", "target", "reason", "arrived_at")
        show(shown.orderBy("source", "file", "line", "target"), how, console, limit)


@quarantine_app.command("replay")
def quarantine_replay(
    env: Env,
    lake: LakeUri = None,
    landing: Landing = None,
    conf: ConfDir = None,
    run_date: RunDate = None,
    source: SourceName = None,
) -> None:
    """Try the records kept aside again, with the mappings of now, and run the later stages."""
    from lakecdp.bronze.mapping import load_sources
    from lakecdp.bronze.replay import replay
    from lakecdp.pipeline import DAILY

    with opened(env, lake, conf, landing=landing, run_date=run_date, source=source) as job:
        this = job.named("01_bronze/replay")
        for mapped in load_sources(job.conf, job.settings, source):
            replay(this, mapped)
        specs = DAILY if job.settings.landing else DAILY[1:]
        code = run_jobs(job, specs)
    raise typer.Exit(code)
