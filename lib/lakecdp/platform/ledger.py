"""The run ledger, operations.run: a row per batch and part; the last says what is published.

Because one writer holds the lake at a time, each row can carry the whole published set of table
versions and what every job has consumed. Reading the last row is enough to start, and every
earlier row is a consistent state of the lake to look at or to go back to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.platform.lake import Lake

TABLE = "operations.run"


@dataclass(frozen=True)
class Balance:
    """Rows of one target table in one batch: in = out + duplicate + quarantined."""

    target: str
    rows_in: int
    rows_out: int
    rows_duplicate: int = 0
    rows_quarantined: int = 0

    @property
    def holds(self) -> bool:
        """Whether nothing was lost."""
        return self.rows_in == self.rows_out + self.rows_duplicate + self.rows_quarantined


@dataclass
class Consumed:
    """What a job (and unit) has consumed when it last published.

    Attributes:
        mark: run_seq of that batch; rows with a higher `_batch` are new to the job.
        seen: published version of each input then.
        rules: fingerprint of the business rules then.
        run_date: the date it stood for.
    """

    mark: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    rules: str = ""
    run_date: str = ""

    def dump(self) -> str:
        """As the JSON kept in the ledger."""
        return json.dumps(self.__dict__, sort_keys=True)


@dataclass
class Entry:
    """One ledger row before it is written; see the contract of operations.run."""

    run_seq: int
    run_id: str
    job: str
    unit: str
    run_date: date
    started_at: datetime
    finished_at: datetime
    outcome: str
    rows_in: int | None = None
    rows_out: int | None = None
    rows_duplicate: int | None = None
    rows_quarantined: int | None = None
    balance: list[Balance] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    gates: str | None = None
    code_version: str = ""
    message: str | None = None


class Ledger:
    """Reads the last row once and appends; correct while the lease is held.

    Args:
        spark: the session.
        lake: the lake.
    """

    def __init__(self, spark: SparkSession, lake: Lake):
        self._spark = spark
        self._lake = lake
        self._contract = contracts.table(TABLE)
        self._waiting: list[Entry] = []
        self.published: dict[str, int] = {}
        self._state: dict[str, str] = {}
        last = lake.last_metadata(TABLE, "published")
        if last is None:
            last = self._last_row()
        self.last_seq: int = last.get("run_seq", 0)
        self.published |= last.get("published", {})
        self._state |= last.get("state", {})

    def _last_row(self) -> dict[str, Any]:
        """The same from the table, where the last commits are not the ledger's own."""
        if not self._lake.version(TABLE):
            return {}
        row = self._lake.read(TABLE).orderBy(F.desc("run_seq")).first()
        return row.asDict() if row is not None else {}

    def read(self, name: str, *, fixed: bool = False) -> DataFrame:
        """The published rows of a table; the ledger itself is read as it stands.

        Args:
            name: the table.
            fixed: hold on to the version of now although the table will be written to.
        """
        if name == TABLE:
            return self._lake.read(name)
        published = self.published.get(name)
        if published is None:
            return self._lake.empty(contracts.table(name))
        same = not fixed and self._lake.version(name) == published
        return self._lake.read(name, None if same else published)

    def next_seq(self) -> int:
        """The number for a new batch."""
        self.last_seq += 1
        return self.last_seq

    def consumed(self, job: str, unit: str) -> Consumed:
        """What a job has consumed so far."""
        found = self._state.get(_key(job, unit))
        return Consumed(**json.loads(found)) if found else Consumed()

    def note(self, entry: Entry) -> None:
        """Keep a row that publishes nothing, to be written with the next one or at the end."""
        self._waiting.append(entry)

    def publish(self, entries: Sequence[tuple[Entry, Consumed | None]]) -> None:
        """Write the rows of a batch (and those waiting) in one commit.

        The versions they name are then what is read. Where a part has consumed nothing, what it
        had consumed before stays.
        """
        for entry, consumed in entries:
            self.published |= entry.versions
            if consumed is not None:
                self._state[_key(entry.job, entry.unit)] = consumed.dump()
        self._write([*self._waiting, *(e for e, _ in entries)])
        self._waiting = []

    def flush(self) -> None:
        """Write the rows that wait."""
        if self._waiting:
            self._write(self._waiting)
            self._waiting = []

    def _write(self, entries: list[Entry]) -> None:
        self._lake.ensure(self._contract)
        schema = ", ".join(f"`{c.name}` {c.type}" for c in self._contract.all_columns)
        rows = [self._row(e) for e in entries]
        frame = self._spark.createDataFrame(rows, schema).coalesce(1)
        # With the state in the commit itself, the next process opens the lake without a query.
        state = {"published": self.published, "state": self._state}
        self._lake.append(self._contract, frame, {"run_seq": self.last_seq, **state})

    def _row(self, e: Entry) -> tuple[Any, ...]:
        seconds = Decimal(str(round((e.finished_at - e.started_at).total_seconds(), 3)))
        balance = [
            (b.target, b.rows_in, b.rows_out, b.rows_duplicate, b.rows_quarantined)
            for b in e.balance
        ]
        return (
            e.run_seq, e.run_id, e.job, e.unit, e.run_date, e.started_at, e.finished_at, seconds,
            e.outcome, e.rows_in, e.rows_out, e.rows_duplicate, e.rows_quarantined, balance,
            e.versions, self.published, self._state, e.gates, e.code_version, e.message, e.run_seq,
        )  # fmt: skip


def _key(job: str, unit: str) -> str:
    return f"{job}[{unit}]"
