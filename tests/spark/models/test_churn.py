"""Features, training, review and scores of the churn model on small lakes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from lakecdp.contracts import table
from lakecdp.models import churn, features, reasons
from lakecdp.models.registry import Registry
from lakecdp.models.review import review, rollback, status
from lakecdp.models.rules import LogisticRegression, RandomForest
from lakecdp.platform.errors import LakecdpError
from lakecdp.platform.job import Job

JOBS = Path(__file__).parents[3] / "jobs" / "06_models"
LAST = date(2026, 11, 1)
GIVEN = (
    "node_id BIGINT, day DATE, orders BIGINT, amount DECIMAL(28,4), returned_amount DECIMAL(28,4), "
    "views BIGINT, searches BIGINT, carts BIGINT"
)
Row = tuple[int, date, int, Decimal, Decimal, int, int, int]


def history(customers: int, days: int, seed: int = 3) -> list[Row]:
    """Customers with a rhythm of their own, some of whom stop; two identifiers each."""
    r = random.Random(seed)
    rows: dict[tuple[int, date], Row] = {}
    for c in range(1, customers + 1):
        cycle = r.choice((6, 12, 25, 60))
        end = LAST if r.random() < 0.6 else LAST - timedelta(days=r.randrange(days))
        day = LAST - timedelta(days=days - r.randrange(40))
        while day <= end:
            node = 2 * c + r.randrange(2)
            buys = r.random() < 0.7
            back = Decimal(r.choice((0, 0, 0, 3)))
            money = Decimal(r.randrange(100, 9000)) / 100
            rows[node, day] = (
                node, day, int(buys), money if buys else Decimal(0), back,
                r.randrange(5), r.randrange(2), r.randrange(3),
            )  # fmt: skip
            day += timedelta(days=max(1, int(r.gauss(cycle, cycle / 3))))
    return list(rows.values())


def node_days(spark: SparkSession, rows: list[Row]) -> DataFrame:
    contract = table("gold.node_day")
    given = spark.createDataFrame(rows, GIVEN)
    rest = [
        f"CAST({'array()' if 'ARRAY' in c.type else 'timestamp(day)' if 'TIME' in c.type else '0'} "
        f"AS {c.type}) AS {c.name}"
        for c in contract.columns
        if c.required and c.name not in given.columns
    ]
    null = [f"CAST(NULL AS {c.type}) AS {c.name}" for c in contract.columns if not c.required]
    return given.selectExpr("*", *rest, *null)


def links(spark: SparkSession, nodes: list[int], closed: Sequence[int] = ()) -> DataFrame:
    """Two identifiers to a customer; each belonged to somebody else before."""
    since, before = datetime(2026, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    rows = [(n, n // 2, since, None) for n in nodes if n not in closed]
    rows += [(n, 999_999, before, since) for n in nodes]
    return spark.createDataFrame(
        rows, "node_id BIGINT, customer_id BIGINT, valid_from TIMESTAMP, valid_to TIMESTAMP"
    )


def by_pandas(rows: list[Row], cutoff: date, eligible: int, horizon: int) -> pd.DataFrame:
    """The same features by hand, customer by customer."""
    frame = pd.DataFrame(
        rows, columns=["node", "day", "orders", "amount", "returned", "views", "searches", "carts"]
    ).assign(customer=lambda f: f["node"] // 2)
    out = {}
    for customer, mine in frame.groupby("customer"):
        past = mine[mine["day"] <= cutoff]
        bought = sorted(set(past[past["orders"] > 0]["day"]), reverse=True)
        if not bought or (cutoff - bought[0]).days >= eligible:
            continue

        def last(days: int, past: pd.DataFrame = past) -> pd.DataFrame:
            return past[past["day"] > cutoff - timedelta(days=days)]

        def ordered(days: int, bought: list[date] = bought) -> int:
            return sum(d > cutoff - timedelta(days=days) for d in bought)

        active = {w: last(w)["day"].nunique() for w in (30, 60, 90)}
        waited, span = (cutoff - bought[0]).days, (bought[0] - bought[-1]).days
        gap = (span + 60) / len(bought)
        previous = (bought[0] - bought[1]).days if len(bought) > 1 else gap
        amount = float(past["amount"].sum())
        o90, before = ordered(90), ordered(180) - ordered(90)
        log = np.log1p
        out[customer] = {
            "recency": log(waited),
            "overdue": min(10, waited / gap),
            "gap": log(gap),
            "last_gap": np.log((1 + previous) / (1 + gap)),
            "orders": log(len(bought)),
            **{f"orders_{w}d": log(ordered(w)) for w in (30, 90, 180)},
            "order_trend": np.log((1 + o90) / (1 + before)),
            "amount_180d": log(float(last(180)["amount"].sum())),
            "basket": log(amount / len(bought)),
            "tenure": log((cutoff - past["day"].min()).days),
            "idle": log((cutoff - past["day"].max()).days),
            "active_30d": log(active[30]),
            "active_90d": log(active[90]),
            "active_trend": np.log((1 + active[30]) / (1 + active[60] - active[30])),
            **{f"views_{w}d": log(last(w)["views"].sum()) for w in (30, 90)},
            "searches_30d": log(last(30)["searches"].sum()),
            "carts_30d": log(last(30)["carts"].sum()),
            "returned_share": min(1, float(past["returned"].sum()) / amount),
            "label": float(
                not (
                    (mine["orders"] > 0)
                    & (mine["day"] > cutoff)
                    & (mine["day"] <= cutoff + timedelta(days=horizon))
                ).any()
            ),
        }
    return pd.DataFrame(out).T.sort_index()


def test_features_are_of_the_past_only_and_reasons_are_exact(spark: SparkSession) -> None:
    rows = history(60, 260)
    cutoffs = [LAST - timedelta(days=d) for d in (40, 75)]
    nodes = sorted({r[0] for r in rows})

    def found(given: list[Row]) -> pd.DataFrame:
        days = features.customer_days(node_days(spark, given), links(spark, nodes))
        x = features.examples(days, cutoffs, eligible_days=100, horizon=30)
        return x.toPandas().sort_values(["cutoff", "customer_id"]).reset_index(drop=True)

    truth = found(rows)
    for cutoff in cutoffs:
        here = truth[truth["cutoff"] == cutoff].set_index("customer_id")
        oracle = by_pandas(rows, cutoff, 100, 30)
        assert list(here.index) == list(oracle.index)
        assert 0 < oracle["label"].mean() < 1
        assert set(oracle.columns) - {"label"} == {n[2:] for n in features.FEATURES}
        for name in oracle.columns:
            column = name if name == "label" else f"x_{name}"
            np.testing.assert_allclose(here[column], oracle[name], atol=1e-9, err_msg=name)

    # Whatever happens after a cut-off, its features stay; only outcomes may change.
    r = random.Random(1)
    changed = [
        row if row[1] <= cutoffs[0] else
        (row[0], row[1] + timedelta(days=r.randrange(9)), 1, Decimal(777), Decimal(99), 50, 50, 50)
        for row in rows
    ]  # fmt: skip
    changed += [
        (n, cutoffs[0] + timedelta(days=1), 3, Decimal(5), Decimal(5), 9, 9, 9) for n in nodes
    ]
    late = found(list({(x[0], x[1]): x for x in changed}.values()))
    pd.testing.assert_frame_equal(
        late[late["cutoff"] == cutoffs[0]].drop(columns="label"),
        truth[truth["cutoff"] == cutoffs[0]].drop(columns="label"),
    )
    assert (late[late["cutoff"] == cutoffs[0]]["label"] == 0).all()
    assert (
        late[late["cutoff"] == cutoffs[1]]
        .drop(columns="label")
        .equals(truth[truth["cutoff"] == cutoffs[1]].drop(columns="label"))
    )

    # A linear model's contributions are coefficient x (value - mean), summed over the group.
    days = features.customer_days(node_days(spark, rows), links(spark, nodes))
    x = features.examples(days, cutoffs, eligible_days=100, horizon=30)
    learned = churn.assembled(x).persist()
    linear = churn.fit(LogisticRegression(kind="logistic_regression"), learned)
    profiles = features.profiles(days, cutoffs[:1], 100).persist()
    got = reasons.contributions(linear, profiles).toPandas().set_index("customer_id")
    raw = profiles.toPandas().set_index("customer_id").loc[got.index]
    names = list(features.FEATURES)
    scaler, last = linear.stages[1], linear.stages[2]
    mean = truth[names].to_numpy().mean(axis=0)
    deviation = truth[names].to_numpy().std(axis=0, ddof=1)
    np.testing.assert_allclose(scaler.mean.toArray(), mean)
    np.testing.assert_allclose(scaler.std.toArray(), deviation)
    parts = (raw[names].to_numpy() - mean) / deviation * last.coefficients.toArray()
    for i, group in enumerate(features.GROUPS.values()):
        place = [names.index(n) for n in group.names]
        gained = np.array([g[i] for g in got["gains"]])
        np.testing.assert_allclose(gained, parts[:, place].sum(axis=1), atol=1e-6)
    odds = last.intercept + parts.sum(axis=1)
    np.testing.assert_allclose(got["score"], 1 / (1 + np.exp(-odds)), atol=1e-9)
    said = reasons.in_words(reasons.contributions(linear, profiles)).collect()
    for row in said:
        gains = np.array(got.loc[row["customer_id"], "gains"])
        top = [i for i in np.argsort(-np.abs(gains), kind="stable") if abs(gains[i]) >= 1e-6][:3]
        assert len(row["reasons"]) == len(top)
        for text, i in zip(row["reasons"], top, strict=True):
            verb = "raises" if gains[i] > 0 else "lowers"
            assert text == f"{verb} the risk: {got.loc[row['customer_id'], 'words'][i]}"
    known = raw[raw["order_days"] > 1].iloc[0]
    assert got.loc[known.name, "words"][0] == (
        f"last order {known['days_since_order']} days ago, "
        f"usually every {int(np.floor(known['cycle_days'] + 0.5))} days"
    ).replace(" 1 days ago", " 1 day ago")
    forest = churn.fit(RandomForest(kind="random_forest", trees=3, depth=3), learned)
    assert reasons.contributions(forest, profiles).where("size(gains) = 7").count() == len(got)


CONF = """\
model: churn
owner: crm
horizon_days: [{horizon}]
eligible_days: 120
history_days: 40
cutoff_step_days: 15
cutoffs: 2
least_customers: 30
retrain_days: 28
candidates:
  - {{kind: logistic_regression, regularisation: {penalty}}}
{other}
gate: {{least_auc: {least}, least_gain: -1, most_gap: 1, most_loss: 1}}
"""
DEFAULTS = {
    "horizon": 30,
    "penalty": 0.02,
    "least": 0.5,
    "other": "  - {kind: random_forest, trees: 4, depth: 3}",
}


@pytest.fixture
def go(tmp_path: Path, make_job: Callable[..., Job]) -> Callable[..., Job]:
    """Run a job of the stage: go("train_churn", day, person)."""

    def one(name: str, day: date = LAST, person: str | None = None) -> Job:
        job = make_job(f"06_models/{name}", run_date=day, conf=tmp_path / "conf")
        job.approve_as = person
        run_path(str(JOBS / f"{name}.py"))["run"](job)
        return job

    return one


def said(job: Job) -> tuple[str, str]:
    return job.summaries[-1].outcome, job.summaries[-1].message or ""


def test_from_training_to_scores(
    tmp_path: Path, make_job: Callable[..., Job], go: Callable[..., Job],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    rows = history(160, 240)
    nodes = sorted({r[0] for r in rows})
    conf = tmp_path / "conf" / "models" / "churn.yaml"
    conf.parent.mkdir(parents=True)

    def settle(**values: Any) -> None:
        text = CONF.format(**(DEFAULTS | values))
        conf.write_text(text, encoding="utf-8")

    settle(horizon=90)
    load = make_job("load")
    with load.batch("1", outputs=["gold.node_day", "identity.link"]) as b:
        b.append("gold.node_day", node_days(load.spark, rows))
        b.append("identity.link", links(load.spark, nodes))

    # Before anything is learned: one sentence each, no store, no table.
    outcome, sentence = said(go("train_churn"))
    assert outcome == "unchanged"
    assert "history is too short to learn churn" in sentence
    assert "310 needed" in sentence
    assert said(go("review_churn")) == (
        "unchanged", "nothing awaits review: no version is trained yet"
    )  # fmt: skip
    job = go("score_churn", person="Ada")
    assert said(job) == ("unchanged", "no version is in force yet: review and approve one")
    assert "gold.score" not in job.ledger.published
    assert not (tmp_path / "lake-mlflow").exists()

    settle()
    capfd.readouterr()
    outcome, sentence = said(go("train_churn"))
    assert sentence.startswith("version 1 trained: test AUC 0.")
    out, err = capfd.readouterr()
    assert out == ""
    assert "mlflow" not in err.lower()
    assert said(go("train_churn"))[1] == "no new data since the last training"
    now = status(job)
    assert now["champion"] is None
    first = now["challenger"]
    assert first["version"] == 1
    assert first["params"]["test_cutoff"] == "2026-10-02"
    assert first["metrics"]["test_auc"] > 0.6
    assert '"gold.node_day": 1' in first["tags"]["data_versions"]
    card = (next((tmp_path / "lake-mlflow").rglob("model_card.md"))).read_text(encoding="utf-8")
    for word in ("30 days", "base rate", "recency, test", "Calibration", "4 days or more"):
        assert word in card
    # A training killed before the ledger knew of it is found, not repeated.
    registry = Registry(job.settings, "churn")
    found = registry.find(first["tags"]["lakecdp.key"])
    assert found is not None
    assert found.number == 1

    # The gate passes, and yet no model is in force without a person.
    outcome, sentence = said(go("review_churn"))
    assert "version 1 passes the gate" in sentence
    assert "lakecdp model review churn --approve-as NAME" in sentence
    assert said(go("score_churn"))[1].startswith("no version is in force")
    settle(least=0.99)
    verdict = review(make_job("x", conf=tmp_path / "conf"), "Ada")
    assert (verdict.passed, verdict.promoted) == (False, False)
    assert "does not pass the gate: test AUC 0." in verdict.sentence
    settle()
    assert not review(make_job("x", conf=tmp_path / "conf"), "  ").promoted
    assert "version 1 is in force, approved by Ada" in said(go("review_churn", person="Ada"))[1]
    now = status(job)
    assert now["challenger"] is None
    assert now["champion"]["tags"]["approved_by"] == "Ada"
    assert now["champion"]["tags"]["approved_on"] == "2026-11-01"
    with pytest.raises(LakecdpError, match="version 1 was the first in force"):
        rollback(job)

    # Scores of those who ordered within 120 days, as the champion gives them.
    job = go("score_churn")
    scores = job.read("gold.score").toPandas().set_index("customer_id").sort_index()
    oracle = by_pandas(rows, LAST, 120, 30)
    assert list(scores.index) == list(oracle.index)
    assert scores["score"].between(0, 1).all()
    ranked = scores.reset_index().sort_values(["score", "customer_id"], ascending=[False, True])
    assert ranked["decile"].is_monotonic_increasing
    assert set(ranked["decile"]) == set(range(1, 11))
    assert set(scores["model_version"]) == {"1"}
    assert scores["reasons"].map(len).max() <= 3
    assert scores["reasons"].map(len).mean() > 1
    before = dict(job.ledger.published)
    job = go("score_churn")
    assert said(job)[0] == "unchanged"
    assert job.ledger.published == before

    # A customer withdrawn, new data: scored anew; no training yet, it is too early.
    gone = int(scores.index[0])
    load = make_job("load")
    with load.batch("2", outputs=["identity.link"]) as b:
        b.replace("identity.link", links(load.spark, nodes, [2 * gone, 2 * gone + 1]), "true")
    job = go("score_churn")
    assert {r[0] for r in job.read("gold.score").select("customer_id").collect()} == set(
        scores.index
    ) - {gone}
    assert said(go("train_churn", LAST + timedelta(days=27)))[1] == "next training 1 days from now"

    # Other rules: learned anew, compared with the champion, approved, taken back.
    settle(penalty=0.5, other="")
    assert said(go("train_churn"))[1].startswith("version 2 trained")
    now = status(job)
    assert (now["champion"]["version"], now["challenger"]["version"]) == (1, 2)
    assert now["challenger"]["tags"]["compared_with"] == "1"
    assert now["challenger"]["metrics"]["champion_auc"] > 0.5
    verdict = review(make_job("x", conf=tmp_path / "conf"), "Bo")
    assert verdict.promoted
    assert [c.name for c in verdict.checks][-1] == "loss against the champion"
    assert rollback(job).version == 1
    now = status(job)
    assert (now["champion"]["version"], now["challenger"]) == (1, None)
