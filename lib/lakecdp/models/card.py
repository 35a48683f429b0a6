"""The model card: what a reviewer has to know of a version, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from lakecdp.models.metrics import Bin, Slice
from lakecdp.models.rules import Plan, Rules


@dataclass(frozen=True)
class Cutoff:
    """A cut-off: customers judged and share of them that churned."""

    day: date
    role: str
    rows: int
    base_rate: float


@dataclass(frozen=True)
class Findings:
    """All that a training has found.

    Attributes:
        rules: what it was told.
        plan: its days.
        chosen: kind of the candidate that was chosen.
        candidates: validation AUC by kind.
        cutoffs: customers and base rates.
        train: figures on what the model has learned from.
        test: figures on the test cut-off.
        baselines: figures of trivial rules on the test cut-off.
        champion: figures of the champion on the test cut-off, with its version.
        weights: how much the model makes of each feature, largest first.
        calibration: predicted and observed on the test cut-off.
        slices: figures of parts of the test customers.
        data: published versions of the tables read.
        code: version of lakecdp.
    """

    rules: Rules
    plan: Plan
    chosen: str
    candidates: Mapping[str, float]
    cutoffs: Sequence[Cutoff]
    train: Mapping[str, float]
    test: Mapping[str, float]
    baselines: Mapping[str, Mapping[str, float]]
    champion: tuple[int, Mapping[str, float]] | None
    weights: Mapping[str, float]
    calibration: Sequence[Bin]
    slices: Sequence[Slice]
    data: Mapping[str, int]
    code: str

    @property
    def best_baseline(self) -> float:
        """The best AUC of a trivial rule on the test cut-off."""
        return max(b["auc"] for b in self.baselines.values())

    @property
    def gap(self) -> float:
        """AUC on training less AUC on test."""
        return self.train["auc"] - self.test["auc"]


FIGURES = {
    "auc": "AUC",
    "pr_auc": "PR-AUC",
    "log_loss": "Log loss",
    "brier": "Brier",
    "accuracy": "Accuracy",
    "lift_top_decile": "Lift, top decile",
}


def markdown(f: Findings) -> str:
    """The card of one version."""
    return "\n".join(
        [f"# {f.rules.model}", "", *_summary(f), "", *_tables(f), "## Limits", "", LIMITS, ""]
    )


ACCURACY = """\
Accuracy: who has at least the base rate of the training as probability is said to churn (of the
recency rule: who has waited so long that as many are named; of the base rate: the more frequent
outcome). Lift: churn in the tenth with the highest scores, as a multiple of the base rate."""

LIMITS = """\
- Identifiers count for the customer they belong to today, at earlier cut-offs too.
- Records that arrived late count from the day on which things happened.
- A season that the training has not seen is not in the model: compare the base rates of the
  cut-offs."""


def _summary(f: Findings) -> list[str]:
    plan, tables = f.plan, ", ".join(f"{t} version {v}" for t, v in sorted(f.data.items()))
    base = next(c.base_rate for c in f.cutoffs if c.day == plan.test)
    test, best = f.test["auc"], f.best_baseline
    return [
        f"{f.rules.description} Owner: {f.rules.owner}. Code: lakecdp {f.code}.",
        f"Data: {tables}; last order on {plan.last_day}.",
        "",
        f"- Judged: customers with an order in the {f.rules.eligible_days} days up to a cut-off.",
        f"- Outcome: no order of kind sale in the {plan.horizon} days after it.",
        f"- Test: cut-off {plan.test}, base rate {base:.3f}; no candidate has seen it.",
        f"- Test AUC {test:.3f}; best trivial rule {best:.3f}; training less test {f.gap:+.3f}.",
    ]


def _tables(f: Findings) -> list[str]:
    shown: dict[str, Mapping[str, float]] = {f"{f.chosen}, training": f.train}
    shown[f"**{f.chosen}, test**"] = f.test
    shown |= {f"{name}, test": b for name, b in f.baselines.items()}
    if f.champion is not None:
        shown[f"champion (version {f.champion[0]}), test"] = f.champion[1]
    figures = [[name, *(_three(m.get(k)) for k in FIGURES)] for name, m in shown.items()]
    cutoffs = [[c.day, c.role, f"{c.rows:,}", _three(c.base_rate)] for c in f.cutoffs]
    tenths = [
        [i, f"{b.rows:,}", _three(b.predicted), _three(b.observed)]
        for i, b in enumerate(f.calibration, 1)
    ]
    parts = [
        [s.name, f"{s.rows:,}", *(_three(v) for v in (s.base_rate, s.predicted, s.auc))]
        for s in f.slices
    ]
    return [
        *_table("Figures", ["", *FIGURES.values()], figures),
        *(ACCURACY, ""),
        *_table(
            "Candidates, by AUC at the validation cut-off",
            ["Candidate", "AUC"],
            [[k, f"{v:.4f}"] for k, v in f.candidates.items()],
        ),
        *_table("Cut-offs", ["Cut-off", "Used for", "Customers", "Churned"], cutoffs),
        *_table(
            "Calibration on the test cut-off",
            ["Tenth", "Customers", "Predicted", "Observed"],
            tenths,
        ),
        *_table(
            "Parts of the test customers",
            ["Part", "Customers", "Churned", "Predicted", "AUC"],
            parts,
        ),
        *_table(
            "What the model goes by",
            ["Feature", _weights(f.chosen)],
            [[k, f"{v:+.3f}"] for k, v in f.weights.items()],
        ),
    ]


def _weights(kind: str) -> str:
    if kind == "logistic_regression":
        return "Change of the log odds per standard deviation"
    return "Share of the impurity taken away"


def _three(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"## {title}", "", *(f"| {' | '.join(map(str, line))} |" for line in lines), ""]
