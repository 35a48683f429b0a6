"""Accounts of what a batch takes in: rows and amounts by source and table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakecdp.platform.batch import Batch
from lakecdp.platform.errors import LostRowsError
from lakecdp.platform.ledger import Amounts
from lakecdp.silver.canonical import REASON

AMOUNTS = {
    "silver.order_line": "amount",
    "silver.payment": "amount",
    "silver.ad_spend": "cost",
}
"""The amount of a row, of tables whose amounts are reconciled with their source."""
SUM = "decimal(38,4)"
NOTHING = Decimal(0)
Named = tuple[str, str]
"""Kind of a rule of conf/repairs.yaml, and its name."""


@dataclass
class Account:
    """Rows of one source and target in one batch, and their amounts where it has some.

    Attributes:
        currency: that of the amounts; None when they are of several, or there are none.
    """

    rows_in: int = 0
    refused: int = 0
    written: int = 0
    amount_in: Decimal = NOTHING
    amount_refused: Decimal = NOTHING
    amount_written: Decimal = NOTHING
    currency: str | None = None
    applied: dict[Named, int] = field(default_factory=dict)

    @property
    def duplicate(self) -> int:
        """Rows that were there already, or that a later version of the same key replaced."""
        return self.rows_in - self.refused - self.written

    def amounts(self, target: str) -> Amounts:
        """The amounts; what was neither refused nor written is of duplicates."""
        duplicate = self.amount_in - self.amount_refused - self.amount_written
        return Amounts(
            target,
            self.currency,
            self.amount_in,
            self.amount_written,
            duplicate,
            self.amount_refused,
            self.duplicate,
        )

    def note(self, found: Mapping[str, Any], rules: Sequence[Named]) -> None:
        """Take what `measures` gave."""
        self.rows_in, self.refused = int(found["rows"]), int(found["refused"])
        self.applied = {rule: int(found[f"rule_{i}"]) for i, rule in enumerate(rules)}
        if "amount" in found:
            self.amount_in = found["amount"] or NOTHING
            self.amount_refused = found["amount_refused"] or NOTHING
            one = found["first_currency"] == found["last_currency"]
            self.currency = found["first_currency"] if one else None


def measures(name: str, rules: Sequence[Named], own: Column | None = None) -> dict[str, Column]:
    """What is counted of the rows meant for a table, as aggregates by name.

    Args:
        name: the table.
        rules: the rules for the table.
        own: which rows are counted; None: all.
    """
    own = F.lit(True) if own is None else own
    refused = F.col(REASON).isNotNull()
    found = {"rows": F.count_if(own), "refused": F.count_if(own & refused)}
    for i, (kind, rule) in enumerate(rules):
        has = F.coalesce(F.array_contains(f"{kind}s", rule), F.lit(False))
        found[f"rule_{i}"] = F.count_if(own & ~refused & has)
    if name in AMOUNTS:
        amount = F.col(AMOUNTS[name]).cast(SUM)
        found["amount"] = F.sum(F.when(own, amount))
        found["amount_refused"] = F.sum(F.when(own & refused, amount))
        found["first_currency"] = F.min(F.when(own, F.col("currency")))
        found["last_currency"] = F.max(F.when(own, F.col("currency")))
    return found


def count(name: str, rows: DataFrame, accounts: dict[str, Account], rules: Sequence[Named]) -> None:
    """Count the rows of each source: all, those refused, and those that rules were applied to."""
    counts = rows.groupBy("source").agg(*[m.alias(w) for w, m in measures(name, rules).items()])
    for row in counts.collect():
        accounts[row["source"]].note(row.asDict(), rules)


def share_out(batch: Batch, name: str, accounts: dict[str, Account], written: int) -> None:
    """Say how many of the rows written are of each source, and what they amount to.

    Both are read back from the table.

    Raises:
        LostRowsError: the shares are not all that was written.
    """
    amount = F.sum(F.col(AMOUNTS[name]).cast(SUM)) if name in AMOUNTS else F.lit(None)
    if len(accounts) == 1 and name not in AMOUNTS:
        next(iter(accounts.values())).written = written
    elif written:
        sums = (F.count(F.lit(1)).alias("rows"), amount.alias("amount"))
        for row in batch.written(name).groupBy("source").agg(*sums).collect():
            accounts[row["source"]].written = row["rows"]
            accounts[row["source"]].amount_written = row["amount"] or NOTHING
    shares = {s: a.written for s, a in accounts.items()}
    if sum(shares.values()) != written:
        raise LostRowsError(f"{name}: {written} rows were written, by source {shares}")
