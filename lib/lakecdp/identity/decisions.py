"""What persons decide of identifiers: link, unlink and block, with author and reason.

Decisions stand in `conf/decisions/*.csv` and outrank every rule. The files say what is in force:
a row that is taken out is taken back. identity.decision keeps each with the time in which it held.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules, is_junk, node_id, normalise
from lakecdp.identity.evidence import DECISION
from lakecdp.identity.grouping import Ints
from lakecdp.identity.numbers import ints
from lakecdp.identity.region import Decided
from lakecdp.platform.errors import ConfigError
from lakecdp.platform.job import Job
from lakecdp.platform.settings import Conf

FOLDER, UNIT = "decisions", "decisions"
COLUMNS = ("action", "type_a", "value_a", "type_b", "value_b", "author", "reason", "decided_on")
LINK, UNLINK, BLOCK = "link", "unlink", "block"
SHAPE = (
    "decision_id STRING, action STRING, node_a BIGINT, type_a STRING, node_b BIGINT, "
    "type_b STRING, author STRING, reason STRING, decided_on DATE"
)


@dataclass(frozen=True)
class Stated:
    """A decision as a file states it; `value_b` and `type_b` are empty for block."""

    action: str
    type_a: str
    value_a: str
    type_b: str
    value_b: str
    author: str
    reason: str
    decided_on: date
    file: str
    line: int

    @property
    def ends(self) -> tuple[tuple[str, str], ...]:
        """Type and value of each identifier."""
        both = ((self.type_a, self.value_a), (self.type_b, self.value_b))
        return both[:1] if self.action == BLOCK else both


@dataclass(frozen=True)
class Known:
    """A decision and its nodes, the stronger first."""

    stated: Stated
    nodes: tuple[int, ...]
    types: tuple[str, ...]

    @property
    def row(self) -> tuple[object, ...]:
        """The decision in the columns of SHAPE."""
        s = self.stated
        node_b, type_b = (self.nodes[1], self.types[1]) if len(self.nodes) > 1 else (None, None)
        said = (s.action, *self.nodes, s.author, s.reason, s.decided_on.isoformat())
        id_ = hashlib.sha256("\u001f".join(map(str, said)).encode()).hexdigest()[:16]
        first = (id_, s.action, self.nodes[0], self.types[0], node_b, type_b)
        return (*first, s.author, s.reason, s.decided_on)


def stated(conf: Conf, rules: IdentityRules) -> tuple[Stated, ...]:
    """The decisions in force, as the files say.

    Raises:
        ConfigError: a wrong column, action, type or date, or an empty field, with file and line.
    """
    return tuple(d for path in conf.folder(FOLDER, "csv") for d in _rows(path, rules))


def _rows(path: Path, rules: IdentityRules) -> Iterator[Stated]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise ConfigError("the file cannot be read as UTF-8", path) from None
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header = next(reader, [])
        if sorted(header) != sorted(COLUMNS):
            raise ConfigError(f"the columns must be {','.join(COLUMNS)}", path, 1)
        for cells in reader:
            if any(c.strip() for c in cells):
                yield _row(cells, header, rules, path, reader.line_num)
    except csv.Error as e:
        raise ConfigError(f"not valid CSV: {e}", path, reader.line_num) from None


def _row(
    cells: Sequence[str], header: Sequence[str], rules: IdentityRules, path: Path, line: int
) -> Stated:
    def wrong(message: str) -> ConfigError:
        return ConfigError(message, path, line)

    if len(cells) != len(header):
        raise wrong(f"{len(cells)} fields where the header has {len(header)}")
    row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    action = row["action"]
    if action not in (LINK, UNLINK, BLOCK):
        raise wrong(f"`action` is {action!r}: it is {LINK}, {UNLINK} or {BLOCK}")
    second = ("type_b", "value_b")
    for name in COLUMNS:
        if row[name] and action == BLOCK and name in second:
            raise wrong(f"`{name}` must be empty: {BLOCK} concerns one identifier")
        if not row[name] and not (action == BLOCK and name in second):
            raise wrong(f"`{name}` is empty")
    for name in ("type_a", "type_b"):
        if row[name] and row[name] not in rules.by_name:
            raise wrong(
                f"`{name}` is {row[name]!r}, which is no identifier type; there are "
                f"{', '.join(rules.names)}"
            )
    try:
        day = date.fromisoformat(row.pop("decided_on"))
    except ValueError:
        raise wrong("`decided_on` is no date; write it as 2026-11-01") from None
    return Stated(**row, decided_on=day, file=str(path), line=line)


def known(
    spark: SparkSession,
    decisions: Sequence[Stated],
    rules: IdentityRules,
    key: str,
    region: str | None,
) -> tuple[Known, ...]:
    """The decisions with their nodes.

    Args:
        spark: the session; values are normalised as those of records are.
        decisions: see `stated`.
        rules: the rules in force.
        key: the secret of the hash.
        region: country of phone numbers without a prefix.

    Raises:
        ConfigError: a value that is no identifier or is junk, or decisions that contradict each
            other, with file and line.
    """
    if not decisions:
        return ()
    nodes = _nodes(spark, decisions, rules, key, region)
    found = []
    for d in decisions:
        ends = sorted((rules.names.index(kind), nodes[kind, value]) for kind, value in d.ends)
        ids = tuple(n for _, n in ends)
        if len(ids) != len(set(ids)):
            raise ConfigError("both identifiers are the same one", d.file, d.line)
        found.append(Known(d, ids, tuple(rules.names[r] for r, _ in ends)))
    _agree(found)
    return tuple(found)


def _nodes(
    spark: SparkSession,
    decisions: Sequence[Stated],
    rules: IdentityRules,
    key: str,
    region: str | None,
) -> dict[tuple[str, str], int]:
    where = {end: d for d in reversed(decisions) for end in d.ends}
    given = spark.createDataFrame(list(where), "type STRING, given STRING")
    parts = []
    for kind in sorted({k for k, _ in where}):
        value = normalise(kind, F.col("given"), rules, region)
        parts.append(
            given.where(F.col("type") == kind).select(
                "type",
                "given",
                node_id(kind, value, key).alias("node"),
                is_junk(kind, value, rules).alias("junk"),
            )
        )
    out: dict[tuple[str, str], int] = {}
    for row in reduce(DataFrame.union, parts).collect():
        d = where[row["type"], row["given"]]
        if row["node"] is None:
            raise ConfigError(f"{row['given']!r} is no {row['type']}", d.file, d.line)
        if row["junk"]:
            raise ConfigError(
                f"{row['given']!r} is junk by the rules of {row['type']}", d.file, d.line
            )
        out[row["type"], row["given"]] = row["node"]
    return out


def _agree(decisions: Sequence[Known]) -> None:
    """Refuse what cannot all be done.

    Raises:
        ConfigError: a decision given twice, an unlink of what links join, a link of what is
            blocked.
    """
    first: dict[tuple[int, ...], Known] = {}
    parent: dict[int, int] = {}

    def root(node: int) -> int:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    def wrong(d: Known, message: str, *others: Known) -> ConfigError:
        places = ", ".join(f"{o.stated.file}:{o.stated.line}" for o in others)
        return ConfigError(
            f"{message}{f' ({places})' if places else ''}", d.stated.file, d.stated.line
        )

    for d in decisions:
        other = first.setdefault(d.nodes, d)
        if other is not d:
            raise wrong(d, "there is another decision on the same identifiers", other)
        if d.stated.action == LINK:
            parent[root(d.nodes[0])] = root(d.nodes[1])
    for d in decisions:
        if d.stated.action == UNLINK and root(d.nodes[0]) == root(d.nodes[1]):
            raise wrong(d, "links of these files join what this line unlinks")
        if d.stated.action == LINK:
            blocks = [first[(n,)] for n in d.nodes if (n,) in first]
            if blocks:
                raise wrong(d, "an identifier to be linked is blocked", *blocks)


def frame(spark: SparkSession, decisions: Sequence[Known]) -> DataFrame:
    """Decisions in the columns of SHAPE, one row each."""
    return spark.createDataFrame([d.row for d in decisions], SHAPE)


def in_files(job: Job, rules: IdentityRules) -> tuple[Known, ...]:
    """The decisions of a job's configuration.

    Raises:
        ConfigError: see `stated` and `known`.
    """
    key, region = job.settings.hash_key(), job.settings.phone_region
    return known(job.spark, stated(job.conf, rules), rules, key, region)


def decide(job: Job, rules: IdentityRules) -> None:
    """Bring identity.decision up to date with the files.

    Raises:
        ConfigError: see `stated` and `known`.
    """
    said = stated(job.conf, rules)
    sayings = [(*d.ends, d.action, d.author, d.reason, d.decided_on) for d in said]
    digest = hashlib.sha256(repr((sayings, rules.values_fingerprint(), rules.names)).encode())
    before = job.ledger.consumed(job.name, UNIT)
    if before.rules == digest.hexdigest() or not (before.mark or said):
        return
    now = in_files(job, rules)
    with job.batch(UNIT, outputs=[DECISION], rules=digest.hexdigest()) as b:
        rows = changed(frame(job.spark, now), b.read(DECISION), b.started_at)
        b.count(rows_in=len(said), rows_out=b.upsert(DECISION, rows).written)


def changed(now: DataFrame, table: DataFrame, at: datetime) -> DataFrame:
    """Rows of identity.decision to write: decisions that begin, and those taken back.

    Args:
        now: decisions that are in force by the files (SHAPE).
        table: identity.decision.
        at: the moment.
    """
    columns = now.columns
    held = table.where("valid_to IS NULL")
    begun = now.join(held, "decision_id", "left_anti").select(
        *columns, F.lit(at).alias("valid_from"), F.lit(None).cast("timestamp").alias("valid_to")
    )
    ended = held.join(now, "decision_id", "left_anti").select(
        *columns, "valid_from", F.lit(at).alias("valid_to")
    )
    return begun.unionByName(ended)


def decided(table: DataFrame) -> Decided:
    """Blocks and unlinks in force.

    Args:
        table: identity.decision.
    """
    held = table.where("valid_to IS NULL AND action <> 'link'")
    rows = held.select("action", "node_a", F.coalesce("node_b", F.lit(0)).alias("node_b")).toArrow()
    block = rows.column("action").to_numpy(zero_copy_only=False) == BLOCK
    a, b = ints(rows, "node_a"), ints(rows, "node_b")
    return Decided(a[block], (a[~block], b[~block]))


def nodes_of(table: DataFrame) -> Ints:
    """Identifiers that some decisions are about, ascending.

    Args:
        table: rows of identity.decision.
    """
    ends = table.select(F.explode(F.array("node_a", "node_b")).alias("node")).where(
        "node IS NOT NULL"
    )
    return np.unique(ints(ends.toArrow(), "node"))
