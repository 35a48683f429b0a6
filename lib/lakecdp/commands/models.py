"""Review of the models."""

from __future__ import annotations

from typing import Annotated

import typer

from lakecdp.commands.options import (
    Approver,
    ConfDir,
    Env,
    LakeUri,
    RunDate,
    console,
    opened,
    run_jobs,
    tell,
)
from lakecdp.platform.errors import UsageError

model_app = typer.Typer(no_args_is_help=True, help="Review the models.")

ModelName = Annotated[str, typer.Argument(help="The model: churn.")]


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
        tell(review.lines(review.status(job)))


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
        console.print(review.rollback(job).sentence)


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
        code = run_jobs(job, between("review_churn", "review_churn"))
    raise typer.Exit(code)
