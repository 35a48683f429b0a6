"""A part of a batch: what one unit had consumed before, is to do, and has done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from lakecdp.platform.ledger import Amounts, Applied, Balance, Consumed, Ledger


@dataclass
class Summary:
    """What a batch did, for the progress display: outcome, rows and seconds."""

    job: str
    unit: str
    outcome: str = "failed"
    rows_in: int | None = None
    rows_out: int | None = None
    rows_duplicate: int | None = None
    rows_quarantined: int | None = None
    message: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Unit:
    """A part of a job with progress and accounts of its own, such as a source.

    Attributes:
        name: empty where the job has one part.
        inputs: tables whose new rows it consumes.
        outputs: tables it writes, in the order of writing.
        rules: fingerprint of the rules; when it changes the part is `full`.
        bytes: size of what it reads besides tables.
        idle: it is known beforehand that there is nothing to do.
    """

    name: str = ""
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    rules: str = ""
    bytes: int = 0
    idle: bool = False


@dataclass(frozen=True)
class Step:
    """What a batch is told of itself."""

    run_id: str
    job: str
    run_date: date
    units: Sequence[Unit]
    daily: bool = False


class Part:
    """What one unit has done before, is to do, and has done in this batch.

    Attributes:
        unit: the unit.
        since: what it had consumed before.
        full: all rows must be looked at: first run, or the rules have changed.
        new_date: first run, or (for daily jobs) another run date than last time.
        nothing_new: no input was published anew, rules (and, for daily jobs, date) are the same.
        summary: for the display and the ledger.
        balances: its accounts by target.
        amounts: its amounts by target, where it has some.
        applied: rows that rules repaired or flagged, by target and rule.
        warning: what is not as it should be although nothing failed; the batch has warned then.
    """

    def __init__(self, unit: Unit, step: Step, ledger: Ledger):
        self.unit = unit
        self.since: Consumed = ledger.consumed(step.job, unit.name)
        seen = {t: ledger.published.get(t, 0) for t in unit.inputs}
        self.consumed = Consumed(
            0, seen, unit.rules, step.run_date.isoformat(), self.since.position
        )
        first = not self.since.mark
        self.full = first or self.since.rules != unit.rules
        self.new_date = first or (step.daily and self.since.run_date != step.run_date.isoformat())
        same = not (self.full or self.new_date) and self.since.seen == seen
        self.nothing_new = unit.idle or (bool(unit.inputs) and same)
        self.summary = Summary(step.job, unit.name)
        self.balances: list[Balance] = []
        self.amounts: list[Amounts] = []
        self.applied: list[Applied] = []
        self.warning = ""

    @property
    def keeps_its_place(self) -> bool:
        """Whether what it has consumed stays as it was, so that a later run looks again."""
        moved = self.consumed.position != self.since.position
        return self.nothing_new or not (self.unit.inputs or moved)

    def balance(
        self, target: str, *, rows_in: int, rows_out: int, duplicate: int = 0, quarantined: int = 0
    ) -> None:
        """State the account of one target; the batch fails when it does not balance."""
        self.balances.append(Balance(target, rows_in, rows_out, duplicate, quarantined))

    def reconcile(self, amounts: Amounts) -> None:
        """State the amounts of one target; the batch fails when they do not balance."""
        self.amounts.append(amounts)

    def apply(self, target: str, rows: Mapping[tuple[str, str], int]) -> None:
        """State how many rows of a target rules were applied to.

        Args:
            target: the table.
            rows: kind (repair or outlier) and name of a rule -> rows.
        """
        self.applied += [Applied(target, k, n, count) for (k, n), count in rows.items() if count]

    def count(
        self,
        *,
        rows_in: int | None = None,
        rows_out: int | None = None,
        rows_duplicate: int | None = None,
        rows_quarantined: int | None = None,
    ) -> None:
        """State its rows as a whole, as the ledger and the display show them."""
        s = self.summary
        s.rows_in, s.rows_out = rows_in, rows_out
        s.rows_duplicate, s.rows_quarantined = rows_duplicate, rows_quarantined
