"""The `lakecdp` command."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from lakecdp.platform import logs
from lakecdp.platform.errors import LakecdpError, UsageError

if TYPE_CHECKING:
    from lakecdp.platform.job import Job
    from lakecdp.platform.settings import Conf
    from lakecdp.simulator import SimulatorSettings

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)
model_app = typer.Typer(no_args_is_help=True, help="Review the models.")
quarantine_app = typer.Typer(no_args_is_help=True, help="Records kept aside.")
source_app = typer.Typer(no_args_is_help=True, help="Sources and their mappings.")
identity_app = typer.Typer(no_args_is_help=True, help="Who is who.")
customer_app = typer.Typer(no_args_is_help=True, help="One customer.")
app.add_typer(model_app, name="model")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(source_app, name="source")
app.add_typer(identity_app, name="identity")
app.add_typer(customer_app, name="customer")
quality_app = typer.Typer(no_args_is_help=True, help="What the tables are held to.")
app.add_typer(quality_app, name="quality")
linkage_app = typer.Typer(no_args_is_help=True, help="Links between records without keys.")
app.add_typer(linkage_app, name="linkage")

# A pipe has no width: tables and progress lines are not folded for it.
console = Console(width=None if sys.stdout.isatty() else 160)

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
ModelName = Annotated[str, typer.Argument(help="The model: churn.")]
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

    day = _day(run_date)
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


def _day(text: str | None, option: str = "--run-date") -> date:
    if text is None:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option} is {text!r}, which is no date; write it as 2026-11-01."
        ) from None


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
        code = _pipeline(job, specs)
    raise typer.Exit(code)


def _pipeline(job: Job, specs: object) -> int:
    from lakecdp.runner import run_pipeline, summary_table

    outcome = run_pipeline(job, specs, console)  # type: ignore[arg-type]
    console.print()
    console.print(summary_table(outcome), highlight=False)
    for s in outcome.summaries:
        if s.message and s.outcome != "failed":
            console.print(f"{s.job} {s.unit}: {s.message}", highlight=False, markup=False)
    for sentence in [*outcome.notes, *outcome.failures]:
        print(f"lakecdp: {sentence}", file=sys.stderr)
    console.print(f"{outcome.seconds:.0f} s", highlight=False)
    return outcome.exit_code


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
            console.print(
                f"made a company: {sum(counts.values()):,} records in {landing}", highlight=False
            )
        code = _pipeline(job, DAILY)
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
    first = _day(first_day, "--first-day") if first_day else None
    last = _day(last_day, "--last-day") if last_day else None
    for name, rows in simulate(spark, settings, landing, truth, first, last).items():
        console.print(f"{name:<14}{rows:>12,}", highlight=False)


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
        day = _day(as_of, "--as-of") if as_of else None
        links = _day(links_of, "--links-of") if links_of else None
        show(query(job, text, day, links), how, console)


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
    for line in coverage_lines(found):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if strict and found.missed:
        raise typer.Exit(3)


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
def status(
    env: Env = "dev",
    lake: LakeUri = None,
    conf: ConfDir = None,
    how: Format = "table",
    limit: Annotated[int, typer.Option("--limit", help="Batches to show.")] = 20,
) -> None:
    """Show the last batches of the run ledger."""
    from lakecdp.query import query, show

    text = (
        "SELECT run_seq, job, unit, run_date, outcome, seconds, rows_in, rows_out, rows_duplicate, "
        "rows_quarantined, message FROM operations.run "
        f"ORDER BY finished_at DESC, run_seq DESC LIMIT {limit}"
    )
    with opened(env, lake, conf, writes=False) as job:
        show(query(job, text), how, console)


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
        console.print(f"Data Docs: {build(job, to)}", highlight=False, markup=False)


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
            highlight=False,
            markup=False,
        )
    idle = [p.stem for p in rules.folder(ADAPTERS) if p.stem not in names_in_use]
    if idle:
        console.print(f"Adapters not in use: {', '.join(idle)}", highlight=False, markup=False)


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
            for line in check_lines(job.spark, rules, settings, mapping, path, job):
                console.print(line, highlight=False, markup=False, soft_wrap=True)
        return
    with console.status("starting Spark"):
        spark = build_session(settings.spark)
    for line in check_lines(spark, rules, settings, mapping, path, None):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


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
        code = _pipeline(job, specs)
    raise typer.Exit(code)


def _known_model(name: str) -> None:
    if name != "churn":
        raise UsageError(f"There is no model `{name}`; there is churn.")


@model_app.command("status")
def model_status(
    model: ModelName = "churn", env: Env = "dev", lake: LakeUri = None, conf: ConfDir = None
) -> None:
    """Show the versions of a model: in force, and awaiting review."""
    from lakecdp.models import review

    _known_model(model)
    with opened(env, lake, conf, writes=False) as job:
        for line in review.lines(review.status(job)):
            console.print(line, highlight=False, markup=False)


@model_app.command("rollback")
def model_rollback(
    env: Env,
    model: ModelName = "churn",
    lake: LakeUri = None,
    conf: ConfDir = None,
    run_date: RunDate = None,
) -> None:
    """Put the version that was in force before the present one back into force."""
    from lakecdp.models import review

    _known_model(model)
    with opened(env, lake, conf, run_date=run_date) as job:
        console.print(review.rollback(job).sentence, highlight=False, markup=False)


@model_app.command("review")
def model_review(
    env: Env,
    model: ModelName = "churn",
    lake: LakeUri = None,
    conf: ConfDir = None,
    run_date: RunDate = None,
    approve_as: Approver = None,
) -> None:
    """Compare the newest churn model with the one in force; approve it with --approve-as."""
    from lakecdp.pipeline import between

    _known_model(model)
    with opened(env, lake, conf, run_date=run_date, approve_as=approve_as) as job:
        code = _pipeline(job, between("review_churn", "review_churn"))
    raise typer.Exit(code)


@identity_app.command("explain")
def identity_explain(
    first: Annotated[str, typer.Argument(help="An identifier as known to the source.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
    env: Env = "dev",
    lake: LakeUri = None,
    conf: ConfDir = None,
) -> None:
    """Show the shortest chain of evidence that makes two identifiers one customer."""
    from lakecdp.explain import explain_lines

    with opened(env, lake, conf, writes=False) as job:
        for line in explain_lines(job, first, second):
            console.print(line, highlight=False, markup=False)


@identity_app.command("health")
def identity_health(
    env: Env = "dev",
    lake: LakeUri = None,
    conf: ConfDir = None,
) -> None:
    """Show whether identifiers are joined too much or too little."""
    from lakecdp.health import health_lines

    with opened(env, lake, conf, writes=False) as job:
        for line in health_lines(job):
            console.print(line, highlight=False, markup=False)


@identity_app.command("plan")
def identity_plan(
    env: Env = "dev",
    lake: LakeUri = None,
    conf: ConfDir = None,
) -> None:
    """Show what conf/identity.yaml and conf/decisions would make of the customers; write nothing."""
    from lakecdp.plan import plan_lines

    with opened(env, lake, conf, writes=False) as job:
        for line in plan_lines(job):
            console.print(line, highlight=False, markup=False)


@identity_app.command("apply")
def identity_apply(
    env: Env,
    lake: LakeUri = None,
    conf: ConfDir = None,
    run_date: RunDate = None,
    approve_as: Approver = None,
) -> None:
    """Take conf/identity.yaml and conf/decisions into force, and bring all that follows up to date."""
    from lakecdp.pipeline import between

    with opened(env, lake, conf, run_date=run_date, approve_as=approve_as) as job:
        code = _pipeline(job, between("02_silver", None))
    raise typer.Exit(code)


@customer_app.command("show")
def customer_show(
    who: Annotated[str, typer.Argument(help="A customer id, or an identifier such as a phone.")],
    env: Env = "dev",
    lake: LakeUri = None,
    conf: ConfDir = None,
) -> None:
    """Show identifiers, changes, golden record, figures, segments, tags and scores of a customer."""
    from lakecdp.customer import customer_lines
    from lakecdp.governance.identifiers import IdentityRules

    with opened(env, lake, conf, writes=False) as job:
        rules = IdentityRules.load(job.conf)
        for line in customer_lines(job.read, rules, job.settings.phone_region, who):
            console.print(line, highlight=False, markup=False)


@linkage_app.command("train")
def linkage_train(
    name: Annotated[str, typer.Argument(help="A file of conf/linkage, without .yaml.")],
    env: Env,
    lake: LakeUri = None,
    conf: ConfDir = None,
    run_date: RunDate = None,
) -> None:
    """Train the model of a linkage anew, and link all records by it."""
    from lakecdp.identity.linkage.rules import find
    from lakecdp.linkage import trained_lines
    from lakecdp.pipeline import JobSpec
    from lakecdp.runner import load_job

    with opened(env, lake, conf, run_date=run_date) as job:
        find(job.conf, name)
        this = job.named("03_identity/match")
        load_job(JobSpec("03_identity/match", ""))(this, again=[name])  # type: ignore[call-arg]
        job.ledger.flush()
        for line in trained_lines(job, [name]):
            console.print(line, highlight=False, markup=False)


@linkage_app.command("review")
def linkage_review(
    name: Annotated[str | None, typer.Argument(help="Only this linkage.")] = None,
    env: Env = "dev",
    lake: LakeUri = None,
    conf: ConfDir = None,
    limit: Annotated[int, typer.Option("--limit", help="Pairs to show.")] = 20,
    same: Annotated[str, typer.Option("--same", help="Pairs that are one person: 1,4.")] = "",
    other: Annotated[str, typer.Option("--other", help="Pairs that are two persons: 2,3.")] = "",
    ask: Annotated[bool, typer.Option("--ask", help="Ask for each pair.")] = False,
    write: Annotated[
        Path | None, typer.Option("--write", help="CSV of conf/decisions to append to.")
    ] = None,
    author: Annotated[str | None, typer.Option("--author", help="Who decides.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "reviewed",
    run_date: RunDate = None,
) -> None:
    """Show pairs between the thresholds, and write down what a person decides of them."""
    from lakecdp.linkage import asked, picked, queue
    from lakecdp.linkage import write as write_decisions

    day = _day(run_date)
    decides = bool(same or other or ask)
    if decides and (write is None or not author):
        raise UsageError("Decisions need --write FILE and --author NAME.")
    with opened(env, lake, conf, writes=False) as job:
        questions = queue(job, name, limit)
    if not decides:
        for q in questions:
            for line in q.lines():
                console.print(line, highlight=False, markup=False)
        console.print(f"{len(questions)} pairs for review", highlight=False)
        return
    if ask:
        answers = asked(questions, typer.echo, typer.prompt)
    else:
        answers = picked(questions, _numbers(same, "--same"), _numbers(other, "--other"))
    assert write is not None
    write_decisions(write, answers, author or "", reason, day.isoformat())
    console.print(f"{len(answers)} decisions written to {write}", highlight=False, markup=False)


def _numbers(text: str, option: str) -> list[int]:
    try:
        return [int(x) for x in text.split(",") if x.strip()]
    except ValueError:
        raise UsageError(f"{option} is {text!r}; write numbers of the queue as 1,4.") from None


@linkage_app.command("evaluate")
def linkage_evaluate(
    inputs: Annotated[
        list[str],
        typer.Argument(help="[RULES] FILE [FILE2]: a YAML or a name of conf/linkage; then CSVs."),
    ],
    truth: Annotated[
        str | None, typer.Option("--truth", help="Column that tells the person.")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option("--pattern", help=r"The person within that column, as rec-(\d+)."),
    ] = None,
    pairs_to: Annotated[
        Path | None, typer.Option("--pairs", help="CSV to write the pairs to.")
    ] = None,
    ignore: Annotated[
        str,
        typer.Option("--ignore", help="Columns to leave out, a,b; where none are given as rules."),
    ] = "",
    conf: ConfDir = None,
) -> None:
    """Link the records of files without a lake; with a truth, print precision, recall and F1."""
    from lakecdp.identity.linkage import evaluate as e
    from lakecdp.identity.linkage.infer import safe
    from lakecdp.platform.settings import Conf

    rules, files = e.inputs(inputs, Conf(conf))
    table = e.read(files)
    person = e.truth_of(table, truth, pattern) if truth else None
    if rules is None:
        left = [safe(x) for x in [*ignore.split(","), truth or ""] if x.strip()]
        rules = e.rules_for(table, len(files), left)
    with console.status("linking"):
        done = e.evaluate(table, rules, person)
    for line in e.lines(done):
        console.print(line, highlight=False, markup=False)
    if pairs_to is not None:
        done.told(table).to_csv(pairs_to, index=False)


def main() -> None:
    """Entry point: one clear sentence and an exit code for whatever goes wrong."""
    logs.configure()
    try:
        code = app(standalone_mode=False)
    except LakecdpError as e:
        _quit(str(e), e.exit_code)
    except typer.Exit as e:
        sys.exit(e.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _quit("stopped", 1)
    except Exception as e:
        if hasattr(e, "format_message"):
            _quit(e.format_message(), 2)
        logging.getLogger("lakecdp").debug("failed", exc_info=True)
        from lakecdp.platform.fs import java_message

        _quit(java_message(e), 1)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _quit(sentence: str, code: int) -> None:
    print(f"lakecdp: {sentence}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
