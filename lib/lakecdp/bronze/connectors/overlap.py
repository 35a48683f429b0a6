"""Which rows of a pull are new: those near the watermark are read again and compared.

A row is new when its key has no landed row with the same content in the last pull that held the
key. A row that shows late, within the overlap, is therefore taken; one that was read twice is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakecdp.bronze.connectors.config import Overlapping
from lakecdp.bronze.connectors.pull import Position, fixed, numbered, pull_name
from lakecdp.platform.errors import LakecdpError

Landed = Callable[[int | None], DataFrame]
"""From the first pull to look at (None: none) to the records that landed; see `landed_rows`."""

MOST_PULLS = 50
"""Pulls that a position remembers one by one; neighbours are joined beyond."""


@dataclass(frozen=True)
class Mark:
    """A value of a watermark: its kind (number, date, timestamp, timestamp_ntz) and text."""

    kind: str
    text: str

    @property
    def value(self) -> Any:
        """As something to compare and to count with."""
        if self.kind == "number":
            return Decimal(self.text)
        return datetime.fromisoformat(self.text)

    def before(self, span: timedelta | int | None) -> Mark:
        """The mark from which a pull reads, by the overlap.

        Raises:
            LakecdpError: a time is to be taken off a number, or a number off a time.
        """
        if self.kind == "number":
            if isinstance(span, timedelta):
                raise LakecdpError("the watermark is a number, and the `overlap` is a time")
            return Mark(self.kind, str(self.value - (1000 if span is None else span)))
        if span is None:
            span = timedelta(days=1) if self.kind == "date" else timedelta(hours=1)
        if not isinstance(span, timedelta):
            raise LakecdpError("the watermark is a time, and the `overlap` is a number: write 30m")
        lower = self.value - span
        if self.kind == "date":
            return Mark(self.kind, lower.date().isoformat())
        return Mark(self.kind, lower.isoformat(" "))


def mark_of(text: str) -> Mark:
    """The watermark that a JSON value is.

    Raises:
        LakecdpError: it is neither a number nor an ISO time.
    """
    try:
        return Mark("number", str(Decimal(text)))
    except InvalidOperation:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise LakecdpError(f"the watermark {text!r} is neither a number nor an ISO time") from None
    if len(text) == 10:
        return Mark("date", date.fromisoformat(text).isoformat())
    return Mark("timestamp" if found.tzinfo else "timestamp_ntz", found.isoformat(" "))


@dataclass(frozen=True)
class Reach:
    """What a position knows of the pulls before.

    Attributes:
        pull: number of this pull, from 1.
        high: the highest watermark landed.
        low: the watermark to read from; None: from the beginning.
        first: the first pull that may hold rows at or above `low`; None: none does.
        pulls: by pull, its highest watermark; None where it holds rows without any.
    """

    pull: int
    high: Mark | None
    low: Mark | None
    first: int | None
    pulls: tuple[tuple[int, str | None], ...]


def window(config: Overlapping, position: Position, of: str) -> Reach:
    """Where the next pull begins.

    Args:
        config: the input.
        position: of the source; that of another input only counts the pulls.
        of: what tells this input from others.
    """
    number = int(position.get("pull", 0)) + 1
    if position.get("of") != of:
        return Reach(number, None, None, None, ())
    pulls = tuple((int(n), m) for n, m in position.get("pulls", []))
    if config.watermark is None or position.get("high") is None:
        return Reach(number, None, None, pulls[0][0] if pulls else None, pulls)
    high = Mark(**position["high"])
    low = high.before(config.span)
    held = tuple(p for p in pulls if p[1] is None or Mark(high.kind, p[1]).value >= low.value)
    return Reach(number, high, low, held[0][0] if held else None, held)


def position_after(
    before: Reach, of: str, *, high: Mark | None, blank: bool, landed: bool
) -> Position:
    """The position once a pull is published.

    Args:
        before: where it began.
        of: what tells this input from others.
        high: highest watermark of the new rows.
        blank: whether some of them have no watermark, or the input has none at all.
        landed: whether there were new rows.
    """
    if not landed:
        of_old = {"pull": before.pull - 1, "pulls": [list(p) for p in before.pulls]}
        high = before.high
        told: Position = of_old
    else:
        last = None if blank or high is None else high.text
        pulls = [*before.pulls, (before.pull, last)]
        while len(pulls) > MOST_PULLS:
            (number, first), (_, second) = pulls[:2]
            kind = (high or before.high or Mark("number", "0")).kind
            both = [Mark(kind, m) for m in (first, second) if m is not None]
            top = max(both, key=lambda m: m.value).text if len(both) == 2 else None
            pulls[:2] = [(number, top)]
        told = {"pull": before.pull, "pulls": [list(p) for p in pulls]}
        marks = [m for m in (before.high, high) if m is not None]
        high = max(marks, key=lambda m: m.value) if marks else None
    return told | {"of": of, "high": None if high is None else vars(high)}


def key_of(record: Column, names: Sequence[str]) -> Column:
    """The key of a record (VARIANT) as text."""
    paths = [n if n.startswith("$") else "$." + n for n in names]
    return F.to_json(F.array(*[F.try_variant_get(record, p, "string") for p in paths]))


def content_of(record: Column, text: Column) -> Column:
    """A digest of what a record says, whatever the order of its fields."""
    return F.sha2(F.coalesce(F.to_json(record), text), 256)


def news(
    rows: DataFrame, landed: DataFrame, key: Sequence[str], *, last_wins: bool
) -> tuple[DataFrame, int]:
    """Drop what has landed; the rest is read now and once.

    Args:
        rows: value STRING, order (any type; of two rows of one key the later one is the newer).
        landed: value STRING, file STRING: the landed and the refused records to compare with.
        key: columns that tell records apart.
        last_wins: whether a key may come twice, as when pages shift while they are read.

    Returns:
        the new rows (value STRING, order), and how many were read in all.

    Raises:
        LakecdpError: the key does not tell records apart.
    """
    record = F.try_parse_json("value")
    told = {"_key": key_of(record, key), "_content": content_of(record, F.col("value"))}
    # The number of a pull leads its name.
    pull = F.substring_index("file", "/", 1)
    had = landed.withColumns(told | {"_pull": pull})
    newest = Window.partitionBy("_key").orderBy(F.desc("_pull"))
    old = (
        had.withColumn("_n", F.rank().over(newest))
        .where("_n = 1")
        .select("_key", "_content", F.lit(True).alias("_landed"))
        .distinct()
    )
    of_key = Window.partitionBy("_key").orderBy(F.desc("order"), "_content")
    whole = Window.partitionBy("_key")
    seen = fixed(
        rows.withColumns(told)
        .withColumns(
            {
                "_n": F.row_number().over(of_key),
                "_kinds": F.size(F.collect_set("_content").over(whole)),
            }
        )
        .join(old, ["_key", "_content"], "left")
    )
    counts = seen.agg(
        F.count(F.lit(1)).alias("rows"),
        F.max("_kinds").alias("kinds"),
    ).first()
    assert counts is not None
    if not last_wins and (counts["kinds"] or 0) > 1:
        raise LakecdpError(
            f"the key {', '.join(key)} does not tell rows apart: {counts['kinds']} different rows "
            "have the same one"
        )
    fresh = seen.where("_n = 1 AND _landed IS NULL").select("value", "order")
    return fresh, int(counts["rows"])


def landed_rows(bronze: DataFrame, refused: DataFrame, source: str, first: int | None) -> DataFrame:
    """The records that a pull is compared with: value STRING, file STRING.

    Args:
        bronze: bronze.<source>.
        refused: silver.quarantine.
        source: the source.
        first: the first pull to look at; None: none.
    """
    begin = pull_name(first or 0, "")
    good = bronze.select(F.to_json("raw").alias("value"), "file")
    bad = refused.where((F.col("source") == source) & (F.col("target") == "bronze")).where(
        "status = 'open'"
    )
    both = good.unionByName(bad.select(F.col("raw").cast("string").alias("value"), "file"))
    return both.where(F.col("file") >= begin) if first is not None else both.limit(0)


def placed(fresh: DataFrame, number: int, of: str) -> DataFrame:
    """New rows with their place: value, file, line."""
    return numbered(fresh.select("value"), pull_name(number, of))
