"""A batch: what one job does between reading published tables and publishing its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import lakecdp
from lakecdp import contracts
from lakecdp.contracts import TableContract
from lakecdp.platform import quality
from lakecdp.platform.fs import java_message
from lakecdp.platform.lake import Lake, MergeCounts
from lakecdp.platform.ledger import Balance, Consumed, Entry, Ledger

log = logging.getLogger("lakecdp")


class LostRowsError(AssertionError):
    """Rows in are not rows out + duplicates + quarantined: a defect of the job."""


@dataclass
class Summary:
    """What a batch did, for the progress display: outcome, rows and seconds."""

    job: str
    unit: str
    outcome: str = "published"
    rows_in: int | None = None
    rows_out: int | None = None
    rows_duplicate: int | None = None
    rows_quarantined: int | None = None
    message: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Step:
    """What a batch is told of itself: names, inputs, outputs in the order they are written."""

    run_id: str
    job: str
    unit: str
    run_date: date
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    rules: str = ""
    daily: bool = False


@dataclass
class _Work:
    versions: dict[str, int] = field(default_factory=dict)
    balances: list[Balance] = field(default_factory=list)
    gates: list[Mapping[str, object]] = field(default_factory=list)


class Batch:
    """All or nothing: its tables become visible together, by one row of the ledger.

    On entry every output is created where it is missing and restored to its published version
    where a killed run left something unpublished. On a clean exit the ledger row publishes; on an
    error the outputs are restored and the row says what went wrong.

    Attributes:
        seq: run_seq, written to `_batch` of every row.
        since: what the job had consumed before.
        full: all rows must be looked at: first run, or the rules have changed.
        gate_results: what the quality gates found; kept in the ledger.
        nothing_new: no input was published anew, rules (and, for daily jobs, date) are the same.
    """

    def __init__(self, lake: Lake, ledger: Ledger, step: Step):
        self._lake = lake
        self._ledger = ledger
        self._step = step
        self._work = _Work()
        self._held: list[DataFrame] = []
        self._starts: dict[str, int] = {}
        self.summary = Summary(step.job, step.unit)
        self.gate_results: list[dict[str, Any]] = []
        self.since: Consumed = ledger.consumed(step.job, step.unit)
        seen = {t: ledger.published.get(t, 0) for t in step.inputs}
        self._consumed = Consumed(0, seen, step.rules, step.run_date.isoformat())
        first = not self.since.mark
        self.full = first or self.since.rules != step.rules
        self.new_date = first or (step.daily and self.since.run_date != step.run_date.isoformat())
        same = not (self.full or self.new_date) and self.since.seen == seen
        self.nothing_new = bool(step.inputs) and same
        self.seq = 0
        self.started_at = datetime.now(UTC)

    @property
    def spark(self) -> SparkSession:
        """The session."""
        return self._lake.spark

    @property
    def run_date(self) -> date:
        """The date that the run stands for."""
        return self._step.run_date

    def __enter__(self) -> Batch:
        self.seq = self._ledger.next_seq()
        if not self.nothing_new:
            if self._step.outputs:
                quality.preload()
            for name in self._step.outputs:
                self._recover(name)
        return self

    def _recover(self, name: str) -> None:
        contract = contracts.table(name)
        self._lake.ensure(contract)
        published = self._ledger.published.get(name, 0)
        current = self._lake.version(name)
        if current is not None and current > published:
            log.warning("%s: version %d was never published; back to %d", name, current, published)
            self._lake.restore(name, published)
            self._note_version(name)
            self._starts[name] = self._work.versions.get(name, current)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for frame in self._held:
            frame.unpersist()
        if error is not None:
            self._fail(error)
            return
        if not self._work.versions:
            self._finish("unchanged")
            entry = self._entry("unchanged")
            if self.nothing_new or not self._step.inputs:
                self._ledger.note(entry)
                return
            self._consumed.mark = self.seq
            self._ledger.publish(entry, self._consumed)
            return
        try:
            self._judge()
        except Exception as e:
            self._fail(e)
            raise
        # What a job reads and writes too is no news to itself.
        own = {t: v for t, v in self._work.versions.items() if t in self._consumed.seen}
        self._consumed.seen |= own
        missed = any(g["failed"] for g in self.gate_results)
        outcome = "warned" if self._work.gates or missed else "published"
        self._finish(outcome)
        self._consumed.mark = self.seq
        self._ledger.publish(self._entry(outcome), self._consumed)

    def _judge(self) -> None:
        """Hold what was written, and not yet published, to the accounts and the expectations.

        Raises:
            LostRowsError: rows do not balance.
            GateError: an expectation marked `fail` does not hold.
        """
        lost = [b for b in self._work.balances if not b.holds]
        if lost:
            raise LostRowsError(f"{self._step.job}: rows do not balance: {lost}")
        for name in self._work.versions:
            quality.gate(self, name, self.written(name))

    def _fail(self, error: BaseException) -> None:
        self.summary.message = java_message(error) if isinstance(error, Exception) else "stopped"
        self._finish("failed")
        restored: dict[str, int] = {}
        for name in self._work.versions:
            published = self._ledger.published.get(name, 0)
            self._lake.restore(name, published)
            current = self._lake.version(name)
            if current is not None:
                restored[name] = current
        self._work.versions = restored
        self._ledger.publish(self._entry("failed"))

    def _finish(self, outcome: str) -> None:
        self.summary.outcome = outcome
        self.summary.seconds = (datetime.now(UTC) - self.started_at).total_seconds()

    def _entry(self, outcome: str) -> Entry:
        s = self.summary
        gates = [*self._work.gates, *self.gate_results]
        return Entry(
            run_seq=self.seq,
            run_id=self._step.run_id,
            job=self._step.job,
            unit=self._step.unit,
            run_date=self._step.run_date,
            started_at=self.started_at,
            finished_at=datetime.now(UTC),
            outcome=outcome,
            rows_in=s.rows_in,
            rows_out=s.rows_out,
            rows_duplicate=s.rows_duplicate,
            rows_quarantined=s.rows_quarantined,
            balance=self._work.balances,
            versions=self._work.versions,
            gates=json.dumps(gates, default=str) if gates else None,
            code_version=lakecdp.__version__,
            message=s.message,
        )

    # Reading

    def read(self, name: str) -> DataFrame:
        """The published rows of a table; for an output, those before this batch."""
        return self._ledger.read(name, fixed=name in self._step.outputs)

    def new_rows(self, name: str) -> DataFrame:
        """The rows of an input written since this job last published; all of them when `full`."""
        rows = self.read(name)
        return rows if self.full else rows.where(F.col("_batch") > self.since.mark)

    def published(self, name: str) -> bool:
        """Whether some batch has published rows of a table."""
        return bool(self._ledger.published.get(name))

    def written(self, name: str) -> DataFrame:
        """The rows that this batch has written to one of its tables."""
        start = self._starts.get(name, self._ledger.published.get(name, 0))
        return self._lake.read_added(name, start).where(F.col("_batch") == self.seq)

    # Writing

    def append(self, name: str, frame: DataFrame) -> int:
        """Append rows; returns how many."""
        contract = contracts.table(name)
        written = self._lake.append(contract, self._shape(contract, frame), self._meta())
        self._note_version(name)
        return written

    def replace(self, name: str, frame: DataFrame, where: str | None = None) -> int:
        """Replace the rows matching `where`, or all, by `frame`; returns the rows written."""
        contract = contracts.table(name)
        written = self._lake.overwrite(contract, self._shape(contract, frame), self._meta(), where)
        self._note_version(name)
        return written

    def upsert(
        self,
        name: str,
        frame: DataFrame,
        *,
        update_when: str | None = None,
        delete_when: str | None = None,
        update: bool = True,
        insert: bool = True,
        evolve: bool = False,
        mostly_new: bool = False,
    ) -> MergeCounts:
        """Merge rows by the table's key.

        Args:
            name: the table.
            frame: at most one row per key; further columns are kept only with `evolve`, or when
                `delete_when` names them.
            update_when: which matched rows are updated; `s` is the frame, `t` the table.
            delete_when: which matched rows are deleted instead.
            update: whether matched rows are updated at all.
            insert: whether rows without a match are inserted.
            evolve: add columns that the table does not have.
            mostly_new: keys are rarely there already; then looking first and appending is cheaper
                than a merge.
        """
        contract = contracts.table(name)
        if mostly_new and self.published(name) and name not in self._work.versions:
            frame = frame.persist()
            self._held.append(frame)
            if not self._lake.any_key(contract, frame):
                return MergeCounts(inserted=self.append(name, frame))
        if not self._ledger.published.get(name) and name not in self._work.versions and insert:
            keep = frame.where(f"NOT ({delete_when.replace('s.', '')})") if delete_when else frame
            if not evolve:
                return MergeCounts(inserted=self.append(name, keep))
        shaped = self._shape(contract, frame, extra=evolve or delete_when is not None)
        counts = self._lake.merge(
            contract,
            shaped,
            self._meta(),
            update_when=update_when,
            delete_when=delete_when,
            update=update,
            insert=insert,
            evolve=evolve,
        )
        self._note_version(name)
        return counts

    def delete_keys(self, name: str, keys: DataFrame, on: Sequence[str]) -> int:
        """Delete the rows whose columns `on` stand in `keys`; returns how many."""
        counts = self._lake.delete(contracts.table(name), keys, self._meta(), on)
        self._note_version(name)
        return counts.deleted

    def _shape(
        self, contract: TableContract, frame: DataFrame, *, extra: bool = False
    ) -> DataFrame:
        columns = [F.col(c.name).cast(c.type).alias(c.name) for c in contract.columns]
        if extra:
            known = {*contract.column_names, "_batch"}
            columns += [F.col(c) for c in frame.columns if c not in known]
        return frame.select(*columns, F.lit(self.seq).cast("bigint").alias("_batch"))

    def _meta(self) -> dict[str, object]:
        return {
            "run_seq": self.seq,
            "run_id": self._step.run_id,
            "job": self._step.job,
            "unit": self._step.unit,
            "run_date": self._step.run_date.isoformat(),
            "inputs": self._consumed.seen,
            "since": self.since.mark,
        }

    def _note_version(self, name: str) -> None:
        version = self._lake.version(name)
        if version is not None and version != self._ledger.published.get(name):
            self._work.versions[name] = version

    # Accounts

    def balance(
        self, target: str, *, rows_in: int, rows_out: int, duplicate: int = 0, quarantined: int = 0
    ) -> None:
        """State the account of one target; the batch fails when it does not balance."""
        self._work.balances.append(Balance(target, rows_in, rows_out, duplicate, quarantined))

    def count(
        self,
        *,
        rows_in: int | None = None,
        rows_out: int | None = None,
        rows_duplicate: int | None = None,
        rows_quarantined: int | None = None,
    ) -> None:
        """State the rows of the whole batch, as the ledger and the display show them."""
        s = self.summary
        s.rows_in, s.rows_out = rows_in, rows_out
        s.rows_duplicate, s.rows_quarantined = rows_duplicate, rows_quarantined

    def warn(self, gate: Mapping[str, object]) -> None:
        """Record an expectation marked `warn` that does not hold."""
        self._work.gates.append(gate)
