"""Review of a model: figures open the gate, a person goes through it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.models import churn, features
from lakecdp.models.registry import CHALLENGER, CHAMPION, Registry, Version
from lakecdp.models.rules import Gate, load
from lakecdp.platform.errors import LakecdpError

if TYPE_CHECKING:
    from lakecdp.platform.job import Job


@dataclass(frozen=True)
class Check:
    """One condition of the gate: its name, the figure, the limit and whether it holds."""

    name: str
    value: float
    limit: float
    holds: bool


@dataclass(frozen=True)
class Verdict:
    """What a review found.

    Attributes:
        model: the model.
        version: the challenger reviewed; None when there is none.
        champion: the version in force before the review.
        checks: the conditions of the gate.
        promoted: the challenger is the champion now.
        sentence: all of it for people.
    """

    model: str
    version: int | None
    champion: int | None
    checks: tuple[Check, ...] = ()
    promoted: bool = False
    sentence: str = ""

    @property
    def passed(self) -> bool:
        """Whether every condition of the gate holds."""
        return bool(self.checks) and all(c.holds for c in self.checks)


def checks(gate: Gate, challenger: Version, champion_auc: float | None) -> tuple[Check, ...]:
    """Judge the figures of a challenger on its test cut-off.

    Args:
        gate: the limits.
        challenger: the version.
        champion_auc: AUC of the champion on the same customers; None without a champion.
    """
    m = challenger.metrics
    auc, gain = m["test_auc"], m["test_auc"] - m["best_baseline_auc"]
    found = [
        Check("test AUC", auc, gate.least_auc, auc >= gate.least_auc),
        Check("gain over the best trivial rule", gain, gate.least_gain, gain >= gate.least_gain),
        Check("gap of training and test", m["gap"], gate.most_gap, m["gap"] <= gate.most_gap),
        Check(
            "log loss against that of the base rate",
            m["test_log_loss"],
            m["base_rate_log_loss"],
            m["test_log_loss"] < m["base_rate_log_loss"],
        ),
    ]
    if champion_auc is not None:
        loss = champion_auc - auc
        found.append(
            Check("loss against the champion", loss, gate.most_loss, loss <= gate.most_loss)
        )
    return tuple(found)


def review(job: Job, approve_as: str | None = None) -> Verdict:
    """Judge the challenger; with a person's name, put it into force if the gate lets it through.

    Args:
        job: the surroundings.
        approve_as: who approves; None only to look.
    """
    registry = Registry(job.settings, churn.NAME)
    gate = load(job.conf, churn.NAME).gate
    champion, challenger = registry.aliased()
    before = None if champion is None else champion.number
    if challenger is None:
        rest = f"version {before} is in force" if before else "no version is trained yet"
        sentence = f"nothing awaits review: {rest}"
        return Verdict(churn.NAME, None, before, sentence=sentence)
    found = checks(gate, challenger, _champion_auc(job, registry, challenger, champion))
    person = (approve_as or "").strip()
    passed = all(c.holds for c in found)
    if passed and person:
        _promote(registry, challenger, champion, person, job.run_date, found)
    return Verdict(
        churn.NAME,
        challenger.number,
        before,
        found,
        promoted=passed and bool(person),
        sentence=_sentence(challenger, before, found, person),
    )


def rollback(job: Job) -> Verdict:
    """Put the champion before the present one back into force.

    Raises:
        LakecdpError: there is none.
    """
    registry = Registry(job.settings, churn.NAME)
    champion, _ = registry.aliased()
    if champion is None:
        raise LakecdpError(f"No version of {churn.NAME} is in force, so there is no way back.")
    earlier = champion.tags.get("previous_champion")
    if not earlier:
        raise LakecdpError(
            f"{churn.NAME} version {champion.number} was the first in force: no way back."
        )
    registry.tag(champion, {"rolled_back_on": job.run_date.isoformat()})
    registry.point(CHAMPION, registry.version(int(earlier)))
    sentence = f"version {earlier} is in force again, instead of version {champion.number}"
    return Verdict(churn.NAME, int(earlier), champion.number, promoted=True, sentence=sentence)


def status(job: Job) -> dict[str, Any]:
    """Champion and challenger as plain data: number, tags, parameters and figures, or None."""
    registry = Registry(job.settings, churn.NAME)
    champion, challenger = registry.aliased()
    return {
        "model": churn.NAME,
        "tracking_uri": registry.uri,
        "registered_as": registry.name,
        "champion": _plain(champion),
        "challenger": _plain(challenger),
    }


def lines(found: dict[str, Any]) -> list[str]:
    """What `status` found, one line per version and one for where the registry is."""
    said = [f"{found['model']}: registered as {found['registered_as']} at {found['tracking_uri']}"]
    for role, nobody in (("champion", "none is in force"), ("challenger", "none awaits review")):
        version = found[role]
        if version is None:
            said.append(f"{role:<11}{nobody}")
            continue
        m, by = version["metrics"], version["tags"].get("approved_by")
        said.append(
            f"{role:<11}version {version['version']}, trained up to "
            f"{version['params'].get('test_cutoff')}, test AUC {m['test_auc']:.3f}, "
            f"best trivial rule {m['best_baseline_auc']:.3f}"
            + (f", approved by {by} on {version['tags'].get('approved_on')}" if by else "")
        )
    return said


def _plain(version: Version | None) -> dict[str, Any] | None:
    if version is None:
        return None
    return {
        "version": version.number,
        "run_id": version.run_id,
        "tags": dict(version.tags),
        "params": dict(version.params),
        "metrics": dict(version.metrics),
    }


def _champion_auc(
    job: Job, registry: Registry, challenger: Version, champion: Version | None
) -> float | None:
    """AUC of the champion on the challenger's test cut-off.

    The training has measured it, unless another version has come into force since.
    """
    if champion is None or champion.tags.get("features") != features.VERSION:
        return None
    if challenger.tags.get("compared_with") == str(champion.number):
        return challenger.metrics["champion_auc"]
    test = date.fromisoformat(challenger.params["test_cutoff"])
    horizon = int(challenger.params["horizon_days"])
    until = test + timedelta(days=horizon)
    by_day = churn.customer_days(job.read, until, IdentityRules.load(job.conf))
    eligible = int(challenger.params["eligible_days"])
    rows = features.examples(by_day, [test], eligible_days=eligible, horizon=horizon)
    return churn.evaluate(registry.load(champion), churn.assembled(rows), test, 0.5)["auc"]


def _promote(
    registry: Registry,
    challenger: Version,
    champion: Version | None,
    person: str,
    day: date,
    found: tuple[Check, ...],
) -> None:
    tags = {
        "approved_by": person,
        "approved_on": day.isoformat(),
        "gate": "; ".join(f"{c.name} {c.value:.4f} (limit {c.limit:.4f})" for c in found),
    }
    if champion is not None:
        tags["previous_champion"] = str(champion.number)
    registry.tag(challenger, tags)
    registry.point(CHAMPION, challenger)
    registry.unpoint(CHALLENGER)


def _sentence(
    challenger: Version, champion: int | None, found: tuple[Check, ...], person: str
) -> str:
    named = f"version {challenger.number}"
    missed = [f"{c.name} {c.value:.3f}, limit {c.limit:.3f}" for c in found if not c.holds]
    if missed:
        return f"{named} does not pass the gate: {'; '.join(missed)}"
    auc = f"test AUC {challenger.metrics['test_auc']:.3f}"
    if person:
        return f"{named} is in force, approved by {person} ({auc})"
    then = f"; version {champion} stays in force until then" if champion else ""
    return (
        f"{named} passes the gate ({auc}) and awaits review: approve it with "
        f"`lakecdp model review {churn.NAME} --approve-as NAME`{then}"
    )
