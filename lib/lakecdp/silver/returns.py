"""Returns find the sale that they take back."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

PAIR = ["owner_node", "product_id"]
CENT_PART = Decimal("0.0001")
ALLOCATED = (
    "order_id string, line_id string, order_date date, owner_node bigint, product_id string, "
    "sale_order_id string, sale_line_id string, quantity decimal(18,3), amount decimal(18,4)"
)
SCHEMA = pa.schema(
    {
        "order_id": pa.string(),
        "line_id": pa.string(),
        "order_date": pa.date32(),
        "owner_node": pa.int64(),
        "product_id": pa.string(),
        "sale_order_id": pa.string(),
        "sale_line_id": pa.string(),
        "quantity": pa.decimal128(18, 3),
        "amount": pa.decimal128(18, 4),
    }
)


def movements(lines: DataFrame, headers: DataFrame) -> DataFrame:
    """Sales and returns of products by known customers, with owner and time; void orders aside.

    Args:
        lines: rows of silver.order_line.
        headers: rows of silver.order_header; they lend owner and time to lines without.

    Returns:
        One row per line: order_id, line_id, order_date, at TIMESTAMP, owner_node, product_id,
        line_type, quantity, unit_price.
    """
    known = headers.select(
        "order_id",
        F.col("owner_node").alias("_owner"),
        F.col("ordered_at").alias("_at"),
        F.col("kind").alias("_kind"),
    )
    return (
        lines.where("line_type IN ('sale', 'cancellation') AND product_id IS NOT NULL")
        .join(known, "order_id", "left")
        .where("NOT (_kind <=> 'void')")
        .select(
            "order_id",
            "line_id",
            F.to_date(F.coalesce("ordered_at", "_at")).alias("order_date"),
            F.coalesce("ordered_at", "_at").alias("at"),
            F.coalesce("owner_node", "_owner").alias("owner_node"),
            "product_id",
            "line_type",
            "quantity",
            "unit_price",
        )
        .where("owner_node IS NOT NULL AND at IS NOT NULL")
    )


def matched(rows: DataFrame) -> DataFrame:
    """Give each return the sales that it takes back.

    A return takes units from the latest earlier sale of the same product to the same owner that
    still has some, then from the one before it; a sale is never taken back for more than was sold.

    Args:
        rows: from `movements`, all lines of the owners and products concerned.

    Returns:
        One row per return line and sale line, columns of silver.return; what finds no sale has an
        empty sale_order_id and sale_line_id.
    """
    returns = rows.where("line_type = 'cancellation'").select(*PAIR).distinct()
    concerned = rows.join(returns, PAIR, "left_semi")
    # One row for a pair with its lines in order: a stream of sorted lines would be quicker to write
    # down, but adaptive execution may deal the lines of a pair to several tasks.
    line = F.struct("at", (F.col("line_type") != "sale").alias("returned"), *Line._fields)
    pairs = concerned.groupBy(*PAIR).agg(F.sort_array(F.collect_list(line)).alias("lines"))
    return pairs.mapInArrow(_allocated, ALLOCATED)


def _allocated(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    pairs = (row for batch in batches for row in batch.to_pylist())
    found = (
        (*taken[:3], pair["owner_node"], pair["product_id"], *taken[3:])
        for pair in pairs
        for taken in allocate(Line(**{n: x[n] for n in Line._fields}) for x in pair["lines"])
    )
    while some := list(itertools.islice(found, 10_000)):
        columns = zip(SCHEMA, zip(*some, strict=True), strict=True)
        yield pa.RecordBatch.from_arrays([pa.array(c, f.type) for f, c in columns], schema=SCHEMA)


class Line(NamedTuple):
    """A sale of one product to one owner, or what comes back of it."""

    order_id: str
    line_id: str
    order_date: date
    line_type: str
    quantity: Decimal
    unit_price: Decimal


def allocate(lines: Iterable[Line]) -> Iterator[tuple[object, ...]]:
    """Allocate the returns of one owner and product to sales; see `matched`.

    Args:
        lines: in order of time, sales first.

    Returns:
        order_id, line_id, order_date, sale_order_id, sale_line_id, quantity, amount.
    """
    stack: list[tuple[Line, Decimal]] = []
    for line in lines:
        if line.line_type == "sale":
            if line.quantity > 0:
                stack.append((line, line.quantity))
            continue
        left, price = abs(line.quantity), abs(line.unit_price)
        head = line[:3]
        while left > 0 and stack:
            sale, remaining = stack.pop()
            units = min(left, remaining)
            yield (*head, sale.order_id, sale.line_id, units, _money(units * price))
            left -= units
            if remaining > units:
                stack.append((sale, remaining - units))
        if left > 0:
            yield (*head, "", "", left, _money(left * price))


def _money(amount: Decimal) -> Decimal:
    return amount.quantize(CENT_PART, ROUND_HALF_UP)
