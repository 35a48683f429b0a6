"""Links between records without keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakecdp.commands.options import ConfDir, Env, LakeUri, RunDate, console, day_of, opened, tell
from lakecdp.platform.errors import UsageError

linkage_app = typer.Typer(no_args_is_help=True, help="Links between records without keys.")


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
        tell(trained_lines(job, [name]))


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

    day = day_of(run_date)
    decides = bool(same or other or ask)
    if decides and (write is None or not author):
        raise UsageError("Decisions need --write FILE and --author NAME.")
    with opened(env, lake, conf, writes=False) as job:
        questions = queue(job, name, limit)
    if not decides:
        for q in questions:
            tell(q.lines())
        console.print(f"{len(questions)} pairs for review")
        return
    if ask:
        answers = asked(questions, typer.echo, typer.prompt)
    else:
        answers = picked(questions, _numbers(same, "--same"), _numbers(other, "--other"))
    assert write is not None
    write_decisions(write, answers, author or "", reason, day.isoformat())
    console.print(f"{len(answers)} decisions written to {write}")


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
    tell(e.lines(done))
    if pairs_to is not None:
        done.told(table).to_csv(pairs_to, index=False)
