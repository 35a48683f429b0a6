"""A batch: what one job does between reading published tables and publishing its own."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import lakecdp
from lakecdp import contracts
from lakecdp.contracts import TableContract
from lakecdp.platform import quality
from lakecdp.platform.errors import LostRowsError
from lakecdp.platform.fs import java_message
from lakecdp.platform.judge import Judge
from lakecdp.platform.lake import Lake
from lakecdp.platform.ledger import Consumed, Entry, Ledger
from lakecdp.platform.merging import Merge, MergeCounts
from lakecdp.platform.part import Part, Step, Summary
from lakecdp.platform.rows import FEW, with_gone
from lakecdp.platform.session import suit

log = logging.getLogger("lakecdp")

SMALL = 2 << 20
"""Bytes of Parquet up to which a table is read whole, once for a batch."""


class Batch:
    """All or nothing: its tables become visible together, by one commit of the ledger.

    On entry every output is created where it is missing and restored to its published version
    where a killed run left something unpublished. On a clean exit the ledger publishes, with a row
    for each part; on an error the outputs are restored and the rows say what went wrong.

    Attributes:
        seq: run_seq, written to `_batch` of every row.
        parts: its parts, in order.
        gate_results: what the quality gates found; kept in the ledger.
    """

    def __init__(self, lake: Lake, ledger: Ledger, step: Step):
        self._lake = lake
        self._ledger = ledger
        self._step = step
        self._versions: dict[str, int] = {}
        self._held: list[DataFrame] = []
        self._starts: dict[str, int] = {}
        self._open: dict[str, DataFrame] = {}
        self._judge = Judge(lake)
        self._noting = threading.Lock()
        self.parts = [Part(u, step, ledger) for u in step.units]
        self._outputs = list(
            dict.fromkeys(t for p in self.parts if not p.nothing_new for t in p.unit.outputs)
        )
        self.gate_results: list[dict[str, Any]] = []
        self.seq = 0
        self.started_at = datetime.now(UTC)

    @property
    def at_work(self) -> list[Part]:
        """The parts that have something to do."""
        return [p for p in self.parts if not p.nothing_new]

    @property
    def only(self) -> Part:
        """The part of a batch that has one."""
        (part,) = self.parts
        return part

    @property
    def since(self) -> Consumed:
        """See `Part`."""
        return self.only.since

    @property
    def full(self) -> bool:
        """See `Part`."""
        return self.only.full

    @property
    def new_date(self) -> bool:
        """See `Part`."""
        return self.only.new_date

    @property
    def nothing_new(self) -> bool:
        """See `Part`."""
        return self.only.nothing_new

    @nothing_new.setter
    def nothing_new(self, value: bool) -> None:
        self.only.nothing_new = value

    @property
    def summary(self) -> Summary:
        """See `Part`."""
        return self.only.summary

    def count(self, **rows: int | None) -> None:
        """See `Part`."""
        self.only.count(**rows)

    def warn(self, sentence: str) -> None:
        """Say what is not as it should be; an empty sentence says nothing."""
        self.only.warning = sentence

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
        if self.at_work:
            suit(self.spark, sum(self._weight(p) for p in self.at_work))
        if self._outputs:
            quality.preload()
            # Creating a table is work of the driver alone: several at once on a first run.
            with ThreadPoolExecutor(4) as threads:
                list(threads.map(self._recover, self._outputs))
        return self

    def _weight(self, part: Part) -> int:
        """Bytes that a part works on; of a table with few new rows most are only passed over."""
        tables = sum(self._lake.bytes(t) for t in part.unit.inputs)
        return part.unit.bytes + (tables if part.full else tables // 10)

    def _recover(self, name: str) -> None:
        contract = contracts.table(name)
        self._lake.ensure(contract)
        published = self._ledger.published.get(name, 0)
        current = self._lake.version(name)
        if current is not None and current > published:
            log.warning("%s: version %d was never published; back to %d", name, current, published)
            self._lake.restore(name, published)
            self._note_version(name)
        self._lake.widen(contract)
        before = self._lake.version(name)
        if before is not None and before != published:
            self._note_version(name)
            self._starts[name] = before

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for frame in self._held:
            frame.unpersist()
        with self._ledger.stop.settling():
            if error is not None:
                self._fail(error)
                return
            try:
                warned = self._verdict()
            except Exception as e:
                self._fail(e)
                raise
            self._publish(warned)

    def _publish(self, warned: set[str]) -> None:
        self._judge.close()
        for part in self.parts:
            part.summary.outcome = "warned" if warned & set(part.unit.outputs) else "published"
            if part.nothing_new or (self._outputs and not self._versions):
                part.summary.outcome = "unchanged"
            if part.warning:
                part.summary.outcome, part.summary.message = "warned", part.warning
            part.consumed.mark = self.seq
            # What a job reads and writes too is no news to itself.
            own = {t: v for t, v in self._versions.items() if t in part.consumed.seen}
            part.consumed.seen |= own
        self._finish()
        if not self._versions and all(p.keeps_its_place for p in self.parts):
            for part in self.parts:
                self._ledger.note(self._entry(part))
            return
        self._ledger.publish(
            [(self._entry(p), None if p.nothing_new else p.consumed) for p in self.parts]
        )

    def _verdict(self) -> set[str]:
        """Hold what was written, and not yet published, to the accounts and the expectations.

        Returns:
            the tables of which an expectation marked `warn` does not hold.

        Raises:
            LostRowsError: rows or amounts do not balance.
            GateError: an expectation marked `fail` does not hold.
        """
        lost = [b for p in self.parts for b in p.balances if not b.holds]
        if lost:
            raise LostRowsError(f"{self._step.job}: rows do not balance: {lost}")
        untrue = [a for p in self.parts for a in p.amounts if not a.holds]
        if untrue:
            raise LostRowsError(f"{self._step.job}: amounts do not balance: {untrue}")
        for name in [t for t in self._outputs if t in self._versions]:
            version = self._versions[name]
            found = self._judge.result(name, version, self._written_by)
            self.gate_results += found.gate_results
            if found.error is not None:
                raise found.error
            for part in self.at_work:
                if part.summary.message is None and name in part.unit.outputs:
                    part.summary.message = found.sentence
        return {str(g["table"]) for g in self.gate_results if g["failed"]}

    def _fail(self, error: BaseException) -> None:
        self._judge.close()
        said = java_message(error) if isinstance(error, Exception) else "stopped"
        for part in self.parts:
            part.summary.outcome = "unchanged"
        for part in self.at_work or self.parts:
            part.summary.outcome, part.summary.message = "failed", said
        restored: dict[str, int] = {}
        for name in self._versions:
            published = self._ledger.published.get(name, 0)
            try:
                self._lake.restore(name, published)
            except Exception as e:
                # The next batch that writes the table does it; what went wrong first is to be told.
                log.warning("%s: not restored: %s", name, java_message(e))
                continue
            current = self._lake.version(name)
            if current is not None:
                restored[name] = current
        self._versions = restored
        self._finish()
        self._ledger.publish([(self._entry(p), None) for p in self.parts])

    def _finish(self) -> None:
        seconds = (datetime.now(UTC) - self.started_at).total_seconds()
        for part in self.parts:
            part.summary.seconds = seconds

    def _entry(self, part: Part) -> Entry:
        s = part.summary
        return Entry(
            run_seq=self.seq,
            run_id=self._step.run_id,
            job=self._step.job,
            unit=part.unit.name,
            run_date=self._step.run_date,
            started_at=self.started_at,
            outcome=s.outcome,
            rows_in=s.rows_in,
            rows_out=s.rows_out,
            rows_duplicate=s.rows_duplicate,
            rows_quarantined=s.rows_quarantined,
            balance=part.balances,
            applied=part.applied,
            amounts=part.amounts,
            versions={} if part.nothing_new else self._versions,
            gates=json.dumps(self.gate_results, default=str) if self.gate_results else None,
            code_version=lakecdp.__version__,
            message=s.message,
        )

    # Reading

    def read(self, name: str) -> DataFrame:
        """The published rows of a table; for an output, those before this batch.

        A small table is cached: to plan a scan Delta runs a query of its own over the list of
        files, each time, which takes longer than the rows of such a table.
        """
        with self._noting:
            if name not in self._open:
                rows = self._ledger.read(name, lake=self._lake, fixed=name in self._outputs)
                small = not name.startswith("bronze.") and self._lake.bytes(name) <= SMALL
                self._open[name] = self.hold(rows) if small else rows
            return self._open[name]

    def arrow(self, name: str, columns: Sequence[str]) -> pa.Table | None:
        """Columns of the published rows of an output, past the JVM where possible; see `Lake.arrow`."""
        version = self._starts.get(name, self._ledger.published.get(name))
        return self._lake.arrow(name, columns, version) if name not in self._versions else None

    def among(self, name: str, columns: Sequence[str], by: str, values: pa.Array) -> pa.Table:
        """The published rows of an output whose column `by` stands among values, brought here.

        Args:
            name: the table, not written yet by this batch.
            columns: those wanted.
            by: one of its columns, of numbers or texts.
            values: distinct values, ascending; the rows must be few enough for the driver.
        """
        if not len(values):
            return self._lake.empty_of(name).select(*columns).toArrow()
        version = self._starts.get(name, self._ledger.published.get(name))
        found = self._lake.among(name, columns, by, values, version)
        if found is None:
            wanted = self.spark.createDataFrame(pa.table({by: values}))
            found = self.read(name).join(wanted, by, "left_semi").select(*columns).toArrow()
        return found

    def new_rows(self, name: str, part: Part | None = None) -> DataFrame:
        """The rows of an input written since a part last published; all of them when it is `full`.

        Args:
            name: the table.
            part: needed where the batch has several.
        """
        part, rows = part or self.only, self.read(name)
        return rows if part.full else rows.where(F.col("_batch") > part.since.mark)

    def published(self, name: str) -> bool:
        """Whether some batch has published rows of a table."""
        return bool(self._ledger.published.get(name))

    def written(self, name: str) -> DataFrame:
        """The rows that this batch has written to one of its tables."""
        return self._written_by(self._lake, name)

    def _written_by(self, lake: Lake, name: str) -> DataFrame:
        start = self._starts.get(name, self._ledger.published.get(name, 0))
        return lake.read_added(name, start).where(F.col("_batch") == self.seq)

    def hold(self, frame: DataFrame) -> DataFrame:
        """The same rows, cached until the end of the batch."""
        self._held.append(frame.persist())
        return frame

    def settle(self, frame: DataFrame) -> DataFrame:
        """The same rows, computed now, and without the plan that made them.

        For results that many later steps build on, round after round: the plan of a cached frame is
        kept and doubles with each use. The rows lie on the executors; when one is lost the batch fails.
        """
        return frame.localCheckpoint()

    def keep(self, frame: DataFrame) -> DataFrame:
        """The same rows: in the plan itself while they are few, else cached at their next use."""
        rows = frame.limit(FEW + 1).toArrow()
        if rows.num_rows <= FEW:
            return self.spark.createDataFrame(rows, frame.schema)
        return self.hold(frame)

    # Writing

    def _begin(self, name: str) -> TableContract:
        """Tables written before are complete, as a rule: judge them while this one is written."""
        for other, version in list(self._versions.items()):
            if other != name:
                self._judge.begin(other, version, self._written_by)
        return contracts.table(name)

    def append(self, name: str, frame: DataFrame) -> int:
        """Append rows; returns how many."""
        contract = self._begin(name)
        written = self._lake.append(contract, self._shape(contract, frame), self._meta())
        self._note_version(name)
        return written

    def add(self, name: str, rows: pa.Table) -> int:
        """Append rows that this process holds; returns how many. See `Lake.add`."""
        contract = self._begin(name)
        written = self._lake.add(contract, rows, self.seq, self._meta())
        self._note_version(name)
        return written

    def replace(self, name: str, frame: DataFrame, where: str | None = None) -> int:
        """Replace the rows matching `where`, or all, by `frame`; returns the rows written."""
        contract = self._begin(name)
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
        if mostly_new and self.published(name) and name not in self._versions:
            frame = self.hold(frame)
            if not self._lake.any_key(contract, frame):
                return MergeCounts(inserted=self.append(name, frame))
        if not self._ledger.published.get(name) and name not in self._versions and insert:
            keep = frame.where(f"NOT ({delete_when.replace('s.', '')})") if delete_when else frame
            if not evolve:
                return MergeCounts(inserted=self.append(name, keep))
        # A merge reads its source twice; and none at all is the quickest.
        frame = self.hold(frame)
        if not evolve and frame.isEmpty():
            return MergeCounts()
        self._begin(name)
        shaped = self._shape(contract, frame, extra=evolve or delete_when is not None)
        how = Merge(update_when, delete_when, update, insert)
        counts = self._lake.merge(contract, shaped, self._meta(), how, evolve=evolve)
        self._note_version(name)
        return counts

    def put(self, name: str, rows: pa.Table, gone: pa.Table | None = None) -> MergeCounts:
        """Merge rows that this process holds by the table's key, and delete others.

        Args:
            name: the table.
            rows: its business columns; at most one row per key.
            gone: keys of rows to be deleted, none of them among `rows`.
        """
        contract = self._begin(name)
        gone = (rows[:0] if gone is None else gone).select([*contract.key])
        if not len(rows) + len(gone):
            return MergeCounts()
        counts = self._lake.put(contract, rows, gone, self.seq, self._meta())
        if counts is None:
            both = self.spark.createDataFrame(with_gone(rows, gone))
            return self.upsert(name, both, delete_when="s._gone")
        self._note_version(name)
        return counts

    def delete_keys(self, name: str, keys: DataFrame, on: Sequence[str]) -> int:
        """Delete the rows whose columns `on` stand in `keys`; returns how many."""
        keys = self.hold(keys.select(*on).distinct())
        if keys.isEmpty():
            return 0
        counts = self._lake.delete(self._begin(name), keys, self._meta(), on)
        self._note_version(name)
        return counts.deleted

    def _shape(
        self, contract: TableContract, frame: DataFrame, *, extra: bool = False
    ) -> DataFrame:
        absent = {c.name for c in contract.columns if c.optional} - set(frame.columns)
        columns = [
            (F.lit(None) if c.name in absent else F.col(c.name)).cast(c.type).alias(c.name)
            for c in contract.columns
        ]
        if extra:
            known = {*contract.column_names, "_batch"}
            columns += [F.col(c) for c in frame.columns if c not in known]
        return frame.select(*columns, F.lit(self.seq).cast("bigint").alias("_batch"))

    def _meta(self) -> dict[str, object]:
        return {
            "run_seq": self.seq,
            "run_id": self._step.run_id,
            "job": self._step.job,
            "run_date": self._step.run_date.isoformat(),
            "units": {
                p.unit.name: {"inputs": p.consumed.seen, "since": p.since.mark}
                for p in self.at_work
            },
        }

    def _note_version(self, name: str) -> None:
        # Two threads may have written to one table: whoever notes last must have looked last.
        with self._noting:
            version = self._lake.version(name)
            if version is not None and version != self._ledger.published.get(name):
                self._versions[name] = version
