"""The tag job on a lake: what it computes, what it writes, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from lakecdp.contracts import table
from lakecdp.platform import quality
from lakecdp.platform.errors import ConfigError
from lakecdp.platform.job import Job
from lakecdp.platform.settings import Conf

pytestmark = pytest.mark.spark

JOBS = Path(__file__).parents[3] / "jobs"
HEAD = "name: {en: x, zh: x}, owner: crm, version: 1"
RULES = {
    "level": f"{{{HEAD}, level: base, status: active, rule: level}}",
    "band": f"{{{HEAD}, level: value, status: active, values: [low, high], "
    "rule: \"CASE WHEN orders > 99 THEN 'odd' WHEN orders > 9 THEN 'high' "
    "WHEN orders > 0 THEN 'low' END\"}",
    "phone": f"{{{HEAD}, level: base, status: active, ttl_days: 30, rule: os}}",
    "spare": f"{{{HEAD}, level: base, status: draft, rule: city}}",
}
D1, D2, D3 = date(2026, 11, 1), date(2026, 11, 2), date(2026, 11, 20)
Values = dict[int, dict[str, Any]]


class Bench:
    """Runs the tag job on customers given as values of some columns."""

    def __init__(self, folder: Path, make_job: Callable[..., Job]):
        self.conf = folder / "conf"
        self._make = make_job
        self._run = run_path(str(JOBS / "04_tags" / "tag.py"))["run"]
        self.rules = dict(RULES)
        # Files with the names of the shipped ones replace those.
        for path in Conf().folder("tags"):
            self.write(path.name, f"  {path.stem}_draft: {{{HEAD}, level: base, rule: city}}\n")

    def write(self, name: str, tags: str) -> None:
        """A file of the catalogue."""
        path = self.conf / "tags" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"tags:\n{tags}", encoding="utf-8")

    def run(self, day: date, customers: Values | None = None, gone: int | None = None) -> Job:
        """Change customers, then run the job on a date."""
        self.write("own.yaml", "".join(f"  {k}: {v}\n" for k, v in self.rules.items()))
        job = self._make("04_tags/tag", run_date=day, conf=self.conf)
        if customers:
            self.load(job, customers, gone)
        self._run(job)
        self.matrix = {r["customer_id"]: r.asDict() for r in job.read("gold.tag_matrix").collect()}
        self.history: dict[tuple[int, str], list[tuple[Any, ...]]] = {}
        for r in sorted(job.read("gold.tag_value").collect(), key=lambda r: r["valid_from"]):
            key = (r["customer_id"], r["tag"])
            self.history.setdefault(key, []).append((r["value"], r["valid_from"], r["valid_to"]))
        shown = {(c, t): row[t] for c, row in self.matrix.items() for t in RULES if row.get(t)}
        assert shown == {k: v[-1][0] for k, v in self.history.items() if v[-1][2] is None}
        return job

    def load(self, job: Job, customers: Values, gone: int | None) -> None:
        """Write customers to gold.customer_feature."""
        contract = table("gold.customer_feature")
        columns = ("level", "os", "orders", "last_active_on")
        types = {c.name: c.type for c in contract.columns}
        schema = ", ".join(f"{c} {types[c]}" for c in ("customer_id", *columns))
        rows = [(k, *(v.get(c) for c in columns)) for k, v in customers.items()]
        given = job.spark.createDataFrame(rows, schema)
        nothing = {c.name: "array()" if "ARRAY" in c.type else "0" for c in contract.columns}
        others = [
            f"CAST({nothing[c.name] if c.required else 'NULL'} AS {c.type}) AS {c.name}"
            for c in contract.columns
            if c.name not in given.columns
        ]
        with (
            pytest.MonkeyPatch.context() as patch,
            job.batch(f"load {job.ledger.last_seq}", outputs=[contract.name]) as b,
        ):
            patch.setattr(quality, "gate", lambda *_: None)  # what is delivered is not under test
            b.upsert(contract.name, given.selectExpr("*", *others))
            if gone is not None:
                b.delete_keys(
                    contract.name, given.selectExpr(f"{gone}L AS customer_id"), ["customer_id"]
                )


def test_tags_follow_customers_dates_and_rules(
    tmp_path: Path, make_job: Callable[..., Job]
) -> None:
    bench = Bench(tmp_path, make_job)
    first: Values = {
        1: {"level": " gold ", "os": "iOS", "orders": 1, "last_active_on": date(2026, 10, 20)},
        2: {"level": "", "orders": 100},
        3: {"level": "blue", "os": "Android", "orders": 10, "last_active_on": D1},
    }
    job = bench.run(D1, first)
    known = {"completeness": 1, "level": "gold", "band": "low", "phone": "iOS"}
    assert bench.matrix[1] == {"customer_id": 1, **known, "_batch": job.ledger.last_seq}
    assert [bench.matrix[2][t] for t in ("level", "band", "phone")] == ["unknown"] * 3
    assert (bench.matrix[2]["completeness"], bench.matrix[3]["band"]) == (0, "high")
    assert bench.history[1, "level"] == [("gold", D1, None)]

    before = dict(job.ledger.published)
    job = bench.run(D1)
    assert job.summaries[-1].outcome == "unchanged"
    assert job.ledger.published == before

    # Next day: one customer changes twice, then goes back to what it was; another is new.
    bench.run(D2, {1: first[1] | {"level": "silver"}, 4: {"level": "new", "orders": 0}})
    assert bench.history[1, "level"] == [("gold", D1, D2), ("silver", D2, None)]
    written = {c: r["_batch"] for c, r in bench.matrix.items()}
    assert written[1] == written[4] > written[2] == written[3], "only changed customers are written"
    bench.run(D2, {1: first[1] | {"level": "blue"}})
    assert bench.history[1, "level"] == [("gold", D1, D2), ("blue", D2, None)]
    bench.run(D2, {1: first[1]}, gone=3)
    assert bench.history[1, "level"] == [("gold", D1, None)]
    assert bench.history[3, "level"] == [("blue", D1, D2)]
    assert 3 not in bench.matrix

    # Later: the value that lives 30 days expires; a draft comes into force, another is retired.
    bench.rules["spare"] = bench.rules["spare"].replace("draft", "active")
    bench.rules["level"] = (
        bench.rules["level"].replace("active", "retired").replace("rule: level", "rule: no_more")
    )
    bench.run(D3)
    assert bench.history[1, "phone"] == [("iOS", D1, D3), ("unknown", D3, None)]
    assert bench.history[1, "level"] == [("gold", D1, D3)]
    assert bench.matrix[1]["level"] is None
    assert bench.history[4, "spare"] == [("unknown", D3, None)]

    # Back to the second day: what the later date had found is void.
    bench.rules = dict(RULES)
    bench.run(D2)
    assert bench.history[1, "phone"] == [("iOS", D1, None)]
    assert bench.history[1, "level"] == [("gold", D1, None)]
    assert (4, "spare") not in bench.history
    assert bench.history[3, "level"] == [("blue", D1, D2)]


def test_wrong_rule_is_refused_before_anything_is_written(
    tmp_path: Path, make_job: Callable[..., Job]
) -> None:
    bench = Bench(tmp_path, make_job)
    bench.rules["spare"] = f"{{{HEAD}, level: base, status: draft, rule: agee}}"
    with pytest.raises(
        ConfigError, match=r"own.yaml:5: gold.customer_feature has no column `agee`; it has "
    ):
        bench.run(D1)
    assert not (tmp_path / "lake").exists()
