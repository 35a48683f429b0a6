"""The run ledger, operations.run: a row per batch and part; the last says what is published.

Because one writer holds the lake at a time, each row can carry the whole published set of table
versions and what every job has consumed. Its last commit says the same, which is enough to start; every
earlier row is a consistent state of the lake to look at or to go back to.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.platform.errors import LakecdpError
from lakecdp.platform.fs import java_message
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
        """Whether nothing was lost, and nothing came from nowhere."""
        parts = (self.rows_out, self.rows_duplicate, self.rows_quarantined)
        return self.rows_in == sum(parts) and min(parts) >= 0


@dataclass(frozen=True)
class Amounts:
    """Amounts of one target table in one batch: in = out + duplicate + quarantined.

    Attributes:
        currency: None when they are of several currencies, and added up as numbers.
        duplicates: rows that the duplicate amount is of.
    """

    target: str
    currency: str | None
    amount_in: Decimal
    amount_out: Decimal
    amount_duplicate: Decimal
    amount_quarantined: Decimal
    duplicates: int

    @property
    def holds(self) -> bool:
        """Whether what was written amounts to what came, where no duplicate has a part in it."""
        parts = (self.amount_out, self.amount_duplicate, self.amount_quarantined)
        return self.amount_in == sum(parts) and bool(self.duplicates or not self.amount_duplicate)


@dataclass(frozen=True)
class Applied:
    """Rows of one target table that a declared rule was applied to in one batch."""

    target: str
    kind: str
    rule: str
    rows: int


@dataclass
class Consumed:
    """What a job (and unit) has consumed when it last published.

    Attributes:
        mark: run_seq of that batch; rows with a higher `_batch` are new to the job.
        seen: published version of each input then.
        rules: fingerprint of the business rules then.
        run_date: the date it stood for.
        position: how far an input that is no table of the lake was read.
    """

    mark: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    rules: str = ""
    run_date: str = ""
    position: dict[str, Any] = field(default_factory=dict)

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
    outcome: str
    rows_in: int | None = None
    rows_out: int | None = None
    rows_duplicate: int | None = None
    rows_quarantined: int | None = None
    balance: list[Balance] = field(default_factory=list)
    applied: list[Applied] = field(default_factory=list)
    amounts: list[Amounts] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    gates: str | None = None
    code_version: str = ""
    message: str | None = None
    finished_at: datetime | None = None
    published: dict[str, int] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)


class Stop:
    """Whether the user wants the run to end, and when Spark's work may be cancelled for it."""

    def __init__(self) -> None:
        self.asked = False
        self._settling = 0
        self._lock = threading.Lock()

    @contextmanager
    def settling(self) -> Iterator[None]:
        """While a batch publishes or restores, which must not be cancelled half-way."""
        with self._lock:
            self._settling += 1
        try:
            yield
        finally:
            with self._lock:
                self._settling -= 1

    def cancel(self, spark: SparkSession) -> None:
        """Cancel what Spark does, unless a batch is settling."""
        if not self._settling:
            spark.sparkContext.cancelAllJobs()


class LedgerError(LakecdpError):
    """The ledger cannot be written, so that nothing more can be published by this process."""


class Ledger:
    """Reads its last commit once and appends; correct while the lease is held.

    Two batches of one process may be under way at once. They publish one after the other, and
    `finished_at` is noted as they do: it, and not run_seq, is the order of what was published.

    Args:
        spark: the session.
        lake: the lake.
    """

    def __init__(self, spark: SparkSession, lake: Lake):
        self._spark = spark
        self._lake = lake
        self._contract = contracts.table(TABLE)
        self._waiting: list[Entry] = []
        self._lock = threading.RLock()
        self._broken = ""
        self._written = False
        self._last_at = datetime.min.replace(tzinfo=UTC)
        self.stop = Stop()
        self.published: dict[str, int] = {}
        self._state: dict[str, str] = {}
        last = lake.last_metadata(TABLE, "published")
        if last is None:
            last = self._last_row()
        self.last_seq: int = last.get("run_seq", 0)
        if at := last.get("finished_at"):
            at = datetime.fromisoformat(at) if isinstance(at, str) else at
            self._last_at = at if at.tzinfo else at.replace(tzinfo=UTC)
        self.published |= last.get("published", {})
        self._state |= last.get("state", {})

    def _last_row(self) -> dict[str, Any]:
        """The same from the table, where the last commits are not the ledger's own."""
        if not self._lake.version(TABLE):
            return {}
        rows = self._lake.read(TABLE)
        row = newest_first(rows).first()
        if row is None:
            return {}
        # Of two batches at once the one that began first may have published last.
        highest = rows.agg(F.max("run_seq")).first()
        return {**row.asDict(), "run_seq": highest[0] if highest is not None else 0}

    def read(self, name: str, *, lake: Lake | None = None, fixed: bool = False) -> DataFrame:
        """The published rows of a table; the ledger itself is read as it stands.

        Args:
            name: the table.
            lake: the same lake through another session.
            fixed: hold on to the version of now although the table will be written to.
        """
        lake = lake or self._lake
        if name == TABLE:
            return lake.read(name)
        published = self.published.get(name)
        if published is None:
            return lake.empty(contracts.table(name))
        same = not fixed and lake.version(name) == published
        return lake.read(name, None if same else published)

    def next_seq(self) -> int:
        """The number for a new batch."""
        with self._lock:
            self.last_seq += 1
            return self.last_seq

    def consumed(self, job: str, unit: str) -> Consumed:
        """What a job has consumed so far."""
        found = self._state.get(_key(job, unit))
        return Consumed(**json.loads(found)) if found else Consumed()

    def note(self, entry: Entry) -> None:
        """Keep a row that publishes nothing, to be written with the next one or at the end."""
        with self._lock:
            entry.finished_at = self._stamp()
            entry.published, entry.state = dict(self.published), dict(self._state)
            self._waiting.append(entry)

    def publish(self, entries: Sequence[tuple[Entry, Consumed | None]]) -> None:
        """Write the rows of a batch (and those waiting) in one commit.

        The versions they name are then what is read. Where a part has consumed nothing, what it
        had consumed before stays.

        Raises:
            LedgerError: the commit failed, or one before it did.
        """
        with self._lock:
            published, state = dict(self.published), dict(self._state)
            for entry, consumed in entries:
                entry.finished_at = self._stamp()
                published |= entry.versions
                if consumed is not None:
                    state[_key(entry.job, entry.unit)] = consumed.dump()
            for entry, _ in entries:
                entry.published, entry.state = published, state
            self._write([*self._waiting, *(e for e, _ in entries)], published, state)

    def flush(self) -> None:
        """Write the rows that wait."""
        with self._lock:
            if self._waiting:
                self._write(self._waiting, self.published, self._state)

    def _write(
        self, entries: list[Entry], published: dict[str, int], state: dict[str, str]
    ) -> None:
        if self._broken:
            raise LedgerError(f"The ledger was not written: {self._broken}")
        try:
            self._lake.ensure(self._contract)
            if not self._written:
                self._lake.widen(self._contract)
            schema = ", ".join(f"`{c.name}` {c.type}" for c in self._contract.all_columns)
            rows = [self._row(e) for e in entries]
            frame = self._spark.createDataFrame(rows, schema).coalesce(1)
            # With the state in the commit itself, the next process opens the lake without a query.
            told = {"run_seq": self.last_seq, "published": published, "state": state}
            told["finished_at"] = self._last_at.isoformat()
            self._lake.append(self._contract, frame, told)
        except Exception as e:
            # Whether the commit is there is known to whoever opens the lake next; not to us.
            self._broken = java_message(e)
            raise LedgerError(f"The ledger cannot be written: {self._broken}") from e
        self.published, self._state, self._waiting = published, state, []
        self._written = True

    def _stamp(self) -> datetime:
        """Now, and later than what was published before, whatever the clock says."""
        self._last_at = max(datetime.now(UTC), self._last_at + timedelta(microseconds=1))
        return self._last_at

    def _row(self, e: Entry) -> tuple[Any, ...]:
        finished_at = e.finished_at or e.started_at
        seconds = Decimal(str(round((finished_at - e.started_at).total_seconds(), 3)))
        balance = [
            (b.target, b.rows_in, b.rows_out, b.rows_duplicate, b.rows_quarantined)
            for b in e.balance
        ]
        return (
            e.run_seq, e.run_id, e.job, e.unit, e.run_date, e.started_at, finished_at, seconds,
            e.outcome, e.rows_in, e.rows_out, e.rows_duplicate, e.rows_quarantined, balance,
            e.versions, e.published, e.state, e.gates, e.code_version, e.message,
            [(a.target, a.kind, a.rule, a.rows) for a in e.applied] or None,
            [astuple(a)[:-1] for a in e.amounts] or None, e.run_seq,
        )  # fmt: skip


def newest_first(rows: DataFrame) -> DataFrame:
    """Rows of the ledger, the last published first."""
    return rows.orderBy(F.desc("finished_at"), F.desc("run_seq"))


def _key(job: str, unit: str) -> str:
    return f"{job}[{unit}]"
