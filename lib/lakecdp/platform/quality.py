"""The quality gate: rows that break a rule are refused, tables that break one are not published.

A job refuses rows by `reasons(suite(name))`, a column, and writes the others. Their batch calls
`gate` between writing and publishing, so a job does not.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.platform.docs_site import make_local
from lakecdp.platform.errors import GateError, LakecdpError
from lakecdp.platform.quality_rules import Expectation, NotNull, RowRule, quoted
from lakecdp.platform.quality_suites import Suite, suite

if TYPE_CHECKING:
    from lakecdp.platform.job import Job

__all__ = ["GateResult", "Suite", "data_docs", "gate", "preload", "reasons", "suite"]

SHOWN = 40
SMALL = 20_000
ADAPTIVE = "spark.sql.adaptive.enabled"
QUICK = {
    ADAPTIVE: "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


class Gated(Protocol):
    """Where the gate leaves what it finds: a batch, or what judges for one."""

    gate_results: list[dict[str, Any]]


@dataclass(frozen=True)
class GateResult:
    """What one gate found.

    Attributes:
        table: the table.
        rows: rows looked at.
        expectations: number of expectations.
        suite: fingerprint of the suite.
        failed: those that do not hold: index in the suite, type, columns, severity, rows, share,
            up to three examples when no column is personal, and a sentence.
        seconds: what it took.
    """

    table: str
    rows: int
    expectations: int
    suite: str
    failed: tuple[Mapping[str, Any], ...]
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether every expectation holds."""
        return not self.failed

    def summary(self) -> dict[str, Any]:
        """As kept in the ledger."""
        return {
            "table": self.table,
            "rows": self.rows,
            "expectations": self.expectations,
            "suite": self.suite,
            "failed": [dict(f) for f in self.failed],
            "seconds": self.seconds,
        }


# Row by row


def reasons(rules: Suite) -> Column:
    """ARRAY<STRING> of sentences, one per `row: quarantine` rule that the row breaks.

    Empty, never null, for a row that keeps all of them. Values are shortened to 40 characters;
    those of personal and sensitive columns are not shown.
    """
    empty = F.array().cast("array<string>")
    checks = [(F.expr(str(r.refused())), r) for r in rules.row_rules]
    if not checks:
        return empty
    # The branch is taken for refused rows only: a filter over an array would cost every row.
    broken = reduce(or_, [c for c, _ in checks])
    said = F.array(*[F.when(c, _sentence(r, rules)) for c, r in checks])
    return F.when(broken, F.array_compact(said)).otherwise(empty)


def _sentence(rule: RowRule, rules: Suite) -> Column:
    """Such as: `line_type` is 'gift': it must be one of sale, cancellation."""
    if isinstance(rule, NotNull):
        return F.lit(f"`{rule.column}` is missing")
    parts: list[Column] = []
    for i, name in enumerate(rule.columns):
        parts += [F.lit(f"{' and ' if i else ''}`{name}` is "), _shown(name, rules.hidden(name))]
    return F.concat(*parts, F.lit(f": it must {rule.rule()}"))


def _shown(name: str, hidden: bool) -> Column:
    if hidden:
        return F.when(F.col(quoted(name)).isNull(), "missing").otherwise("a hidden value")
    text = F.regexp_replace(F.col(quoted(name)).cast("string"), r"\p{Cntrl}", " ")
    short = F.when(F.length(text) > SHOWN, F.concat(F.left(text, F.lit(SHOWN)), F.lit("…")))
    quote = F.lit("'")
    return F.coalesce(F.concat(quote, F.coalesce(short, text), quote), F.lit("missing"))


# The table as a whole


def gate(batch: Gated, table: str, frame: DataFrame) -> GateResult:
    """Check rows that a batch has written, and not yet published, against the suite of their table.

    What was found goes into `batch.gate_results` and with it into the ledger. A frame that is not
    cached is computed once here, since one pass counts its rows and others judge them.

    Args:
        batch: where what was found goes.
        table: name of the table.
        frame: the rows written, with the columns that the suite names.

    Raises:
        GateError: an expectation marked `fail` does not hold.
        LakecdpError: an expectation cannot be judged, such as for a missing column.
    """
    start = time.monotonic()
    rules = suite(table)
    needed = _needed(rules)
    missing = sorted(set(needed) - set(frame.columns))
    if missing:
        raise LakecdpError(
            f"{table}: the gate cannot look at {', '.join(missing)}: no such column."
        )
    narrow = frame.select(*[_slim(c, rules) for c in needed])
    own = not (_cached(frame) or _cached(narrow))
    if own:
        narrow = narrow.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        rows = narrow.count()
        failed = _failed(rules, narrow, rows) if rows else []
    finally:
        if own:
            narrow.unpersist()
    seconds = round(time.monotonic() - start, 3)
    count, mark = len(rules.expectations), rules.fingerprint
    result = GateResult(table, rows, count, mark, tuple(failed), seconds)
    batch.gate_results.append(result.summary())
    stops = [f for f in failed if f["severity"] == "fail"]
    if stops:
        more = f" and {len(stops) - 1} more" if len(stops) > 1 else ""
        raise GateError(f"{stops[0]['sentence']}{more}; nothing of this batch is published.")
    return result


def _cached(frame: DataFrame) -> bool:
    level = frame.storageLevel
    return level.useMemory or level.useDisk


def _failed(rules: Suite, narrow: DataFrame, rows: int) -> list[dict[str, Any]]:
    found = []
    with _quick(narrow.sparkSession, rows):
        # A small frame in one partition needs no exchange: half the time of a gate.
        frame = narrow.coalesce(1) if rows <= SMALL else narrow
        findings = _gx().validate(rules, frame)
    for finding in findings:
        rule = rules.expectations[finding["index"]]
        if "error" in finding:
            raise LakecdpError(f"{rules.table}: {rule.type} cannot be judged: {finding['error']}")
        described = {"type": rule.type, "columns": list(rule.columns), "severity": rule.severity}
        found.append({**finding, **described, "sentence": _told(rules.table, rule, finding, rows)})
    return found


def _told(table: str, rule: Expectation, finding: Mapping[str, Any], rows: int) -> str:
    if "rows" not in finding:
        return f"{table}: {rule.sentence()}, and has {finding.get('observed')}"
    examples = ", ".join(repr(e) for e in finding.get("examples", []))
    such = f" (such as {examples})" if examples else ""
    mostly = getattr(rule, "mostly", None)
    allowed = f" in {mostly:.0%} of the rows" if mostly is not None else ""
    broken = f"{finding['rows']:,} of {rows:,} rows are not so{such}"
    return f"{table}: {rule.sentence()}{allowed}, but {broken}"


def _needed(rules: Suite) -> list[str]:
    return list(dict.fromkeys(c for e in rules.expectations for c in e.columns)) or list(
        rules.contract.key
    )


def _slim(name: str, rules: Suite) -> Column:
    """The column, or only whether it is there when no expectation looks at its value."""
    looked_at = any(name in e.columns and not isinstance(e, NotNull) for e in rules.expectations)
    column = F.col(quoted(name))
    return column if looked_at else F.when(column.isNotNull(), True).alias(name)


@contextmanager
def _quick(spark: SparkSession, rows: int) -> Iterator[None]:
    """What is not worth its while on small frames is off: every exchange a job, generated Java."""
    if rows > SMALL:
        yield
        return
    before = {name: str(spark.conf.get(name)) for name in QUICK}
    for name, value in QUICK.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            spark.conf.set(name, value)


# Great Expectations


def preload() -> None:
    """Begin to import Great Expectations in the background; worth it while Spark is busy."""

    def load() -> None:
        with suppress(LakecdpError):
            _gx()

    threading.Thread(target=load, name="lakecdp-quality", daemon=True).start()


def _gx() -> ModuleType:
    try:
        from lakecdp.platform import quality_gx
    except ImportError as e:
        raise LakecdpError(f"Great Expectations cannot be imported: {e}") from None
    except SystemExit:
        # PySpark takes `python -c` for a run of its own tests and leaves the process.
        raise LakecdpError(
            "Great Expectations cannot be imported under `python -c`: run a file."
        ) from None
    return quality_gx


def data_docs(job: Job, folder: Path, hidden: Collection[str] = ()) -> Path:
    """Write Great Expectations' Data Docs from what the ledger says of the last gates.

    A table whose suite has changed since, or that no gate has seen, shows its suite alone.

    Args:
        job: any job on the lake.
        folder: where the site goes.
        hidden: columns whose values are not shown in any table, besides those graded personal or
            sensitive.

    Returns:
        its first page.
    """
    rows = (
        job.read("operations.run")
        .where("gates IS NOT NULL")
        .select("run_id", "finished_at", "gates")
    )
    gates: dict[str, dict[str, Any]] = {}
    for row in sorted(rows.collect(), key=lambda r: r["finished_at"]):
        for found in json.loads(row["gates"]):
            if "suite" in found:
                gates[found["table"]] = {**found, "run": row["run_id"], "at": row["finished_at"]}
    named = {**contracts.all_tables(), **{t: contracts.table(t) for t in gates}}
    suites = [suite(name) for name in sorted(named)]
    current = {
        s.table: _without_values(gates[s.table], s, hidden)
        for s in suites
        if _is_of(gates.get(s.table), s)
    }
    _gx().build_docs(suites, current, folder)
    return make_local(folder, suites, current)


def _without_values(
    found: Mapping[str, Any], rules: Suite, hidden: Collection[str]
) -> dict[str, Any]:
    """A gate without examples of columns that are not shown, whatever the ledger has kept."""
    failed = [
        {k: v for k, v in f.items() if k != "examples"}
        if any(c in hidden or rules.hidden(c) for c in f["columns"])
        else f
        for f in found["failed"]
    ]
    return {**found, "failed": failed}


def _is_of(found: Mapping[str, Any] | None, rules: Suite) -> bool:
    return found is not None and found["suite"] == rules.fingerprint
