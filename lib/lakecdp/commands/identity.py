"""Who is who."""

from __future__ import annotations

from typing import Annotated

import typer

from lakecdp.commands.options import (
    Approver,
    ConfDir,
    Env,
    LakeUri,
    RunDate,
    opened,
    run_jobs,
    tell,
)

identity_app = typer.Typer(no_args_is_help=True, help="Who is who.")
customer_app = typer.Typer(no_args_is_help=True, help="One customer.")


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
        tell(explain_lines(job, first, second))


@identity_app.command("health")
def identity_health(
    env: Env = "dev",
    lake: LakeUri = None,
    conf: ConfDir = None,
) -> None:
    """Show whether identifiers are joined too much or too little."""
    from lakecdp.health import health_lines

    with opened(env, lake, conf, writes=False) as job:
        tell(health_lines(job))


@identity_app.command("plan")
def identity_plan(
    env: Env = "dev",
    lake: LakeUri = None,
    conf: ConfDir = None,
) -> None:
    """Show what conf/identity.yaml and conf/decisions would make of the customers; write nothing."""
    from lakecdp.plan import plan_lines

    with opened(env, lake, conf, writes=False) as job:
        tell(plan_lines(job))


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
        code = run_jobs(job, between("02_silver", None))
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
        tell(customer_lines(job.read, rules, job.settings.phone_region, who))
