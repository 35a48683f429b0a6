"""The churn model: when it is due, how it learns, and the scores it gives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

import lakecdp
from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.shared import counting
from lakecdp.models import card, features, metrics, reasons
from lakecdp.models.registry import CHALLENGER, Record, Registry, Version
from lakecdp.models.rules import Candidate, Plan, Rules, plan
from lakecdp.platform.errors import LakecdpError

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.ml.feature import VectorAssembler

    from lakecdp.platform.batch import Batch

NAME = "churn"
INPUTS = ("gold.node_day", "identity.link", "identity.node")
SEED = 20261031
_KEPT = ("customer_id", "cutoff", "label", "days_since_order", "order_days", "tenure_days")


@dataclass(frozen=True)
class Task:
    """A training that can begin: its days and the examples, one row per customer and cut-off."""

    rules: Rules
    plan: Plan
    rows: DataFrame
    counts: Mapping[date, tuple[int, float]]


def fingerprint(rules: Rules, registry: Registry) -> str:
    """A hash of what is learned, from which features, and where it is kept."""
    return _key(rules.fingerprint, features.VERSION, registry.uri)


def not_due(b: Batch, rules: Rules, registry: Registry) -> str | None:
    """Why nothing is to be learned now; None when it is due.

    It is due at first, when the rules of the model or the place it is kept at have changed, and
    when there is new data and `retrain_days` have passed since the last training.
    """
    if b.full or not registry.exists:
        return None
    if b.nothing_new:
        return "no new data since the last training"
    passed = (b.run_date - date.fromisoformat(b.since.run_date)).days
    if passed < rules.retrain_days:
        return f"next training {rules.retrain_days - passed} days from now"
    return None


def prepare(b: Batch, rules: Rules, identities: IdentityRules) -> Task | str:
    """The examples to learn from, or a sentence that says what they lack."""
    node_days = b.read("gold.node_day").where(F.col("day") <= b.run_date)
    first, last = node_days.agg(
        F.min("day"), F.expr("max(day) FILTER (WHERE orders > 0)")
    ).collect()[0]
    days = plan(rules, first, last) if last is not None else None
    if days is None:
        need = 3 * rules.horizon_days[-1] + rules.history_days
        have = (last - first).days if last is not None else 0
        return f"the history is too short to learn {rules.model}: {have} days of {need} needed"
    rows = examples(b, rules, days, identities).persist()
    found = rows.groupBy("cutoff").agg(F.count(F.lit(1)), F.avg("label")).collect()
    counts = {r[0]: (int(r[1]), float(r[2])) for r in found}
    for day in days.cutoffs:
        number, rate = counts.get(day, (0, 0.0))
        if number < rules.least_customers or rate in (0.0, 1.0):
            rows.unpersist()
            return (
                f"too few customers to learn {rules.model}: {number} at the cut-off {day}, of whom "
                f"{round(number * rate)} churned; it takes {rules.least_customers}, of both kinds"
            )
    total = sum(number for number, _ in counts.values())
    return Task(rules, days, _sample(rows, rules.most_rows / total), counts)


def customer_days(
    read: Callable[[str], DataFrame], until: date, identities: IdentityRules
) -> DataFrame:
    """What customers did by day up to one; see `features.customer_days`.

    Args:
        read: the published rows of a table.
        until: the last day.
        identities: the identity rules, for the devices that count for nobody.
    """
    links = counting(read("identity.link"), read("identity.node"), identities)
    return features.customer_days(read("gold.node_day").where(F.col("day") <= until), links)


def examples(b: Batch, rules: Rules, days: Plan, identities: IdentityRules) -> DataFrame:
    """The examples of all cut-offs, in an order that does not change from run to run."""
    by_day = customer_days(b.read, b.run_date, identities)
    found = features.examples(
        by_day, days.cutoffs, eligible_days=rules.eligible_days, horizon=days.horizon
    )
    return assembled(found).sortWithinPartitions("customer_id", "cutoff")


def assembled(examples: DataFrame) -> DataFrame:
    """Examples with their features in one vector, and the columns that figures are given by."""
    return assembler().transform(examples).select(*_KEPT, "assembled")


def _sample(rows: DataFrame, share: float) -> DataFrame:
    """A share of the customers, chosen by their id: the same at every cut-off and in every run."""
    if share >= 1:
        return rows
    return rows.where(f"pmod(xxhash64(customer_id), 1000000) < {int(share * 1_000_000)}")


@dataclass(frozen=True)
class Predicted:
    """Predictions on the driver, in order of customer and cut-off."""

    columns: Mapping[str, Any]

    def at(self, days: Sequence[date]) -> Predicted:
        """Those of some cut-offs."""
        kept = np.isin(self.columns["cutoff"], np.array(days, dtype="datetime64[D]"))
        return Predicted({k: v[kept] for k, v in self.columns.items()})

    @property
    def label(self) -> metrics.Floats:
        """What came true."""
        return self._floats("label")

    @property
    def score(self) -> metrics.Floats:
        """The probability."""
        return self._floats("score")

    @property
    def waited(self) -> metrics.Floats:
        """Days since the last order."""
        return self._floats("days_since_order")

    def _floats(self, name: str) -> metrics.Floats:
        return np.asarray(self.columns[name], dtype=np.float64)


def assembler() -> VectorAssembler:
    """The first stage of every model: the features in one vector."""
    from pyspark.ml.feature import VectorAssembler

    return VectorAssembler(inputCols=list(features.FEATURES), outputCol="assembled")


def fit(candidate: Candidate, rows: DataFrame) -> PipelineModel:
    """Fit a candidate on examples with `assembled` features."""
    from pyspark.ml import PipelineModel
    from pyspark.ml import classification as mllib
    from pyspark.ml.feature import StandardScaler

    columns: Any = {"featuresCol": "scaled", "labelCol": "label"}
    classifier: Any
    if candidate.kind == "logistic_regression":
        classifier = mllib.LogisticRegression(
            **columns,
            regParam=candidate.regularisation,
            standardization=False,
            maxIter=40,
            tol=1e-4,
        )
    elif candidate.kind == "random_forest":
        classifier = mllib.RandomForestClassifier(
            **columns, numTrees=candidate.trees, maxDepth=candidate.depth, seed=SEED
        )
    else:
        classifier = mllib.GBTClassifier(
            **columns, maxIter=candidate.trees, maxDepth=candidate.depth, seed=SEED
        )
    # The scaler keeps the means of the training customers, which reasons are given against.
    scaler = StandardScaler(inputCol="assembled", outputCol="scaled", withMean=True)
    scaled = scaler.fit(rows)
    return PipelineModel([assembler(), scaled, classifier.fit(scaled.transform(rows))])


def predict(model: PipelineModel, rows: DataFrame) -> Predicted:
    """Score examples and bring what the figures need to the driver."""
    found = reasons.probability(model, rows).select(*_KEPT, "score").toArrow()
    columns = {n: found[n].to_numpy() for n in found.column_names}
    order = np.lexsort((columns["cutoff"], columns["customer_id"]))
    return Predicted({n: v[order] for n, v in columns.items()})


def train(task: Task, registry: Registry, *, run_date: date, data: Mapping[str, int]) -> Version:
    """Choose, fit, test and register; the new version becomes the challenger.

    A repetition of the same training (after a kill, before the ledger knew) finds its version.

    Args:
        task: see `prepare`.
        registry: where to.
        run_date: the date that the run stands for.
        data: published versions of the tables read.
    """
    key = _key(task.rules.fingerprint, features.VERSION, run_date.isoformat(), dict(data))
    version = registry.find(key)
    champion, _ = registry.aliased()
    if version is None:
        model, found = learn(task, data, _rival(registry, champion))
        version = registry.register(_record(key, found, run_date), model)
    task.rows.unpersist()
    if champion is None or champion.number != version.number:
        registry.point(CHALLENGER, version)
    return version


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _rival(registry: Registry, champion: Version | None) -> tuple[int, PipelineModel] | None:
    """The champion, where it can be asked about the features of today."""
    if champion is None or champion.tags.get("features") != features.VERSION:
        return None
    return champion.number, registry.load(champion)


def learn(
    task: Task, data: Mapping[str, int], rival: tuple[int, PipelineModel] | None
) -> tuple[PipelineModel, card.Findings]:
    """Choose among the candidates, fit the chosen one on all training cut-offs, and test it."""
    rows, days, rules = task.rows, task.plan, task.rules
    within = rows.where(F.col("cutoff").isin(list(days.selection)))
    validation = rows.where(F.col("cutoff") == days.validation)
    aucs: dict[str, float] = {}
    for candidate in rules.candidates:
        seen = predict(fit(candidate, within), validation)
        aucs[_named(candidate)] = metrics.auc(seen.label, seen.score)
    best = max(rules.candidates, key=lambda c: aucs[_named(c)])
    model = fit(best, rows.where(F.col("cutoff") < days.test))
    found = predict(model, rows)
    train_rows, test = found.at(days.training), found.at([days.test])
    rate = float(train_rows.label.mean())
    return model, card.Findings(
        rules=rules,
        plan=days,
        chosen=best.kind,
        candidates=aucs,
        cutoffs=[card.Cutoff(c, _role(days, c), *task.counts[c]) for c in days.cutoffs],
        train=metrics.of_probability(train_rows.label, train_rows.score, rate),
        test=metrics.of_probability(test.label, test.score, rate),
        baselines=_baselines(train_rows, test),
        champion=None if rival is None else (rival[0], evaluate(rival[1], rows, days.test, rate)),
        weights=_weights(model),
        calibration=metrics.calibration(test.label, test.score),
        slices=metrics.slices(test.label, test.score, _parts(test)),
        data=data,
        code=lakecdp.__version__,
    )


def evaluate(model: PipelineModel, rows: DataFrame, test: date, rate: float) -> dict[str, float]:
    """The figures of a model on the test cut-off; see `metrics.of_probability`."""
    seen = predict(model, rows.where(F.col("cutoff") == test))
    return metrics.of_probability(seen.label, seen.score, rate)


def _named(candidate: Candidate) -> str:
    values = candidate.model_dump(exclude={"kind"})
    return f"{candidate.kind}({', '.join(f'{k}={v}' for k, v in values.items())})"


def _role(days: Plan, cutoff: date) -> str:
    if cutoff == days.test:
        return "test"
    if cutoff == days.validation:
        return "validation, training"
    return "selection, training" if cutoff in days.selection else "training"


def _baselines(train_rows: Predicted, test: Predicted) -> dict[str, dict[str, float]]:
    """Rules that need no model: everybody alike, and the longest wait first."""
    rate = float(train_rows.label.mean())
    limit = float(np.quantile(train_rows.waited, 1 - rate))
    constant = np.full(len(test.label), rate)
    return {
        "base rate": metrics.of_probability(test.label, constant, 0.5),
        "recency": metrics.of_rule(test.label, test.waited, limit),
    }


def _parts(test: Predicted) -> dict[str, Any]:
    orders, waited, tenure = (
        np.asarray(test.columns[c]) for c in ("order_days", "days_since_order", "tenure_days")
    )
    return {
        "one day with an order": orders == 1,
        "2 or 3 days": (orders > 1) & (orders < 4),
        "4 days or more": orders > 3,
        "last order up to 30 days ago": waited <= 30,
        "31 to 90 days ago": (waited > 30) & (waited <= 90),
        "more than 90 days ago": waited > 90,
        "customer for less than 90 days": tenure < 90,
        "customer for 90 days or more": tenure >= 90,
    }


def _weights(model: PipelineModel) -> dict[str, float]:
    classifier: Any = model.stages[-1]
    linear = hasattr(classifier, "coefficients")
    values = classifier.coefficients if linear else classifier.featureImportances
    names = (name.removeprefix(features.PREFIX) for name in features.FEATURES)
    pairs = zip(names, (float(v) for v in values.toArray()), strict=True)
    return dict(sorted(pairs, key=lambda p: (-abs(p[1]), p[0])))


def _record(key: str, f: card.Findings, run_date: date) -> Record:
    """What MLflow keeps of a training."""
    figures = {
        "gap": f.gap,
        "best_baseline_auc": f.best_baseline,
        **{f"train_{k}": v for k, v in f.train.items()},
        **{f"test_{k}": v for k, v in f.test.items()},
        **{f"base_rate_{c.day}": c.base_rate for c in f.cutoffs},
        **{f"validation_auc_{k.split('(')[0]}": v for k, v in f.candidates.items()},
    }
    figures["test_base_rate"] = next(c.base_rate for c in f.cutoffs if c.day == f.plan.test)
    for name, values in f.baselines.items():
        figures |= {f"{name.replace(' ', '_')}_{k}": v for k, v in values.items()}
    tags = {
        "features": features.VERSION,
        "code_version": f.code,
        "data_versions": json.dumps(dict(f.data), sort_keys=True),
        "trained_on": run_date.isoformat(),
    }
    if f.champion is not None:
        figures |= {f"champion_{k}": v for k, v in f.champion[1].items()}
        tags["compared_with"] = str(f.champion[0])
    params = {
        "kind": f.chosen,
        "horizon_days": f.plan.horizon,
        "eligible_days": f.rules.eligible_days,
        "test_cutoff": f.plan.test,
        "validation_cutoff": f.plan.validation,
        "training_cutoffs": " ".join(map(str, f.plan.training)),
        "rules": f.rules.fingerprint,
    }
    texts = {
        "model_card.md": card.markdown(f),
        "rules.json": f.rules.model_dump_json(indent=2),
    }
    return Record(key, params, figures, tags, texts)


class Dated(Protocol):
    """Tables, and the day as of which they are looked at."""

    @property
    def run_date(self) -> date:
        """Last day that counts."""

    def read(self, name: str) -> DataFrame:
        """The rows of a table."""


def scores(b: Dated, registry: Registry, champion: Version, identities: IdentityRules) -> DataFrame:
    """Scores of the eligible customers as of the run date, in the columns of gold.score.

    Raises:
        LakecdpError: the champion was trained on other features than this version of lakecdp makes.
    """
    if champion.tags.get("features") != features.VERSION:
        raise LakecdpError(
            f"{NAME} version {champion.number} needs features {champion.tags.get('features')}, and "
            f"this lakecdp makes {features.VERSION}: train and approve a newer version."
        )
    model = registry.load(champion)
    by_day = customer_days(b.read, b.run_date, identities)
    eligible = int(champion.params["eligible_days"])
    profiles = features.profiles(by_day, [b.run_date], eligible)
    found = reasons.in_words(reasons.contributions(model, profiles)).persist()
    highest = Window.orderBy(F.desc("score"), "customer_id")
    deciles = found.select("customer_id", F.ntile(10).over(highest).alias("decile"))
    return found.join(deciles, "customer_id").select(
        "customer_id",
        F.lit(NAME).alias("model"),
        F.lit(str(champion.number)).alias("model_version"),
        F.lit(b.run_date).alias("as_of"),
        "score",
        "decile",
        "reasons",
    )
