"""RFM tiers and lifecycle on a lake, against an independent computation."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import pytest

from lakecdp.contracts import table
from lakecdp.platform import quality
from lakecdp.platform.errors import ConfigError
from lakecdp.platform.job import Job

pytestmark = pytest.mark.spark

JOBS = Path(__file__).parents[3] / "jobs"
DAY = date(2026, 11, 1)
GIVEN = (
    "customer_id BIGINT, orders BIGINT, order_days BIGINT, amount DECIMAL(28,4), "
    "returned_amount DECIMAL(28,4), first_order_on DATE, previous_order_on DATE, "
    "last_order_on DATE, purchase_cycle_days DECIMAL(12,2)"
)
FIXED = """\
segmentation: size
name: {en: Size, zh: 规模}
owner: crm
version: 1
status: active
population: orders > 0
scores:
  f: {value: orders, best: highest, thresholds: [2, 3, 4, 9]}
  r: {value: "datediff(as_of, last_order_on)", best: lowest, thresholds: [0, 30, 90, 180]}
detail: concat(r, '/', f)
segments:
  - {segment: top, name: {en: t, zh: t}, when: f = 5}
  - {segment: other, name: {en: o, zh: o}, when: r + f > 4}
"""
# orders, first, previous, last order as days before DAY, mean cycle -> stage
STAGES = [
    (0, None, None, None, None, "prospect"),
    (1, 30, None, 30, None, "new"),
    (1, 31, None, 31, None, "active"),
    (2, 40, None, 40, None, "active"),
    (3, 90, 50, 10, 40, "repeat"),
    (1, 91, None, 91, None, "at_risk"),
    (2, 240, 200, 120, 60, "repeat"),
    (2, 240, 200, 121, 60, "at_risk"),
    (2, 400, 400, 181, 300, "churned"),
    (2, 200, 200, 19, 181, "won_back"),
    (2, 199, 199, 19, 180, "repeat"),
]


def load(job: Job, rows: list[tuple[Any, ...]]) -> None:
    """Write customers to gold.customer_feature."""
    contract = table("gold.customer_feature")
    with (
        pytest.MonkeyPatch.context() as patch,
        job.batch(f"load {job.ledger.last_seq}", outputs=[contract.name]) as b,
    ):
        patch.setattr(quality, "gate", lambda *_: None)  # what is delivered is not under test
        given = job.spark.createDataFrame(rows, GIVEN)
        empty = {
            c.name: ("array()" if "ARRAY" in c.type else "0")
            for c in contract.columns
            if c.required
        }
        others = [
            f"CAST({empty.get(c.name, 'NULL')} AS {c.type}) AS {c.name}"
            for c in contract.columns if c.name not in given.columns
        ]  # fmt: skip
        b.upsert(contract.name, given.selectExpr("*", *others))


def ago(days: int | None) -> date | None:
    return None if days is None else DAY - timedelta(days=days)


def customers() -> tuple[list[tuple[Any, ...]], dict[int, str]]:
    """Rows of customers and the stage of those that are made for one."""
    rows: list[tuple[Any, ...]] = []
    stages = {}
    for i, (orders, first, previous, last, cycle, stage) in enumerate(STAGES, 1):
        days = min(orders, 3) if previous is not None else min(orders, 1)
        money = Decimal(orders * 10)
        rows.append(
            (
                i,
                orders,
                days,
                money,
                Decimal(0),
                ago(first),
                ago(previous),
                ago(last),
                cycle and Decimal(cycle),
            )
        )
        stages[i] = stage
    r = random.Random(5)
    for i in range(100, 160):
        orders = r.choice((1, 1, 1, 2, 3, 9))
        last = r.randrange(0, 120, 10)
        amount = Decimal(r.randrange(100, 90000)) / 100
        rows.append(
            (i, orders, orders, amount, Decimal(r.choice((0, 5))), ago(300), None, ago(last), None)
        )
    return rows, stages


def tiers(rows: list[tuple[Any, ...]]) -> dict[int, tuple[str, str]]:
    """RFM by numpy."""
    buyers = [r for r in rows if r[1] > 0]
    values = {
        "r": [(DAY - r[7]).days for r in buyers],
        "f": [r[2] for r in buyers],
        "m": [float(r[3] - r[4]) for r in buyers],
    }
    limits = {k: np.percentile(v, [20, 40, 60, 80]) for k, v in values.items()}
    above = {k: [int((x > limits[k]).sum()) for x in v] for k, v in values.items()}
    out = {}
    for i, row in enumerate(buyers):
        r, f, m = 5 - above["r"][i], 1 + above["f"][i], 1 + above["m"][i]
        tier = "high" if r >= 4 and f + m >= 8 else "medium" if r >= 3 and f + m >= 5 else ""
        tier = tier or ("potential" if r >= 3 or f + m >= 8 else "lost")
        out[row[0]] = (tier, f"R{r} F{f} M{m}")
    return out


def test_tiers_stages_and_their_history(tmp_path: Path, make_job: Callable[..., Job]) -> None:
    run = run_path(str(JOBS / "05_segments" / "segment.py"))["run"]
    (tmp_path / "conf" / "segments").mkdir(parents=True)
    (tmp_path / "conf" / "segments" / "size.yaml").write_text(FIXED, encoding="utf-8")
    rows, stages = customers()

    def at(day: date) -> tuple[Job, dict[tuple[int, str], list[tuple[Any, ...]]]]:
        job = make_job("05_segments/segment", run_date=day, conf=tmp_path / "conf")
        run(job)
        found: dict[tuple[int, str], list[tuple[Any, ...]]] = {}
        for x in sorted(job.read("gold.segment").collect(), key=lambda x: x["valid_from"]):
            period = (x["segment"], x["detail"], x["valid_from"], x["valid_to"])
            found.setdefault((x["customer_id"], x["segmentation"]), []).append(period)
        return job, found

    load(make_job("load"), rows)
    job, found = at(DAY)
    assert {k[0]: v[0][:2] for k, v in found.items() if k[1] == "rfm"} == tiers(rows)
    assert {i: found[i, "lifecycle"][0][0] for i in stages} == stages
    assert found[9, "lifecycle"][0][1] == "2 orders, the last 181 days ago"
    assert len(set(tiers(rows).values())) > 8
    assert len({t for t, _ in tiers(rows).values()}) == 4
    # A value at a threshold has reached it where the highest is best, and is still within it else.
    nines = [i for (i, s), v in found.items() if s == "size" and v[0][0] == "top"]
    assert nines
    assert all(next(r for r in rows if r[0] == i)[1] == 9 for i in nines)
    assert found[2, "size"][0][1] == "4/1"
    assert (1, "size") not in found
    assert (6, "size") not in found

    before = dict(job.ledger.published)
    job, _ = at(DAY)
    assert job.summaries[-1].outcome == "unchanged"
    assert job.ledger.published == before

    # The next day: time alone moves customer 2 on; a new order brings customer 9 back.
    day = DAY + timedelta(days=1)
    won = (9, 3, 3, Decimal(30), Decimal(0), ago(400), ago(181), day, None)
    load(make_job("load"), [won])
    _, found = at(day)
    assert [p[0] for p in found[2, "lifecycle"]] == ["new", "active"]
    assert [(p[0], *p[2:]) for p in found[9, "lifecycle"]] == [
        ("churned", DAY, day),
        ("won_back", day, None),
    ]
    assert found[4, "lifecycle"] == [("active", "2 orders, the last 40 days ago", DAY, None)]


def test_wrong_condition_is_refused_with_its_line(
    tmp_path: Path, make_job: Callable[..., Job]
) -> None:
    run = run_path(str(JOBS / "05_segments" / "segment.py"))["run"]
    path = tmp_path / "conf" / "segments" / "size.yaml"
    path.parent.mkdir(parents=True)
    for old, new, says in [
        ("f = 5", "g = 5", r"size.yaml:12: gold.customer_feature has no column `g`"),
        ("f = 5", "f + 5", r"size.yaml:12: the expression must give BOOLEAN; this one gives INT"),
        ("value: orders", "value: channels", r"size.yaml:8: Spark refuses the expression"),
        ("  f: {", "  views: {", r"size.yaml:8: `views` is a column of gold.customer_feature"),
        (
            "population: orders > 0",
            "population: max(orders) > 0",
            r"size.yaml:6: a rule sees one row",
        ),
        (
            "concat(r, '/', f)",
            "concat(q, f)",
            r"size.yaml:10: gold.customer_feature has no column `q`",
        ),
    ]:
        path.write_text(FIXED.replace(old, new), encoding="utf-8")
        with pytest.raises(ConfigError, match=says):
            run(make_job("05_segments/segment", conf=tmp_path / "conf"))
