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
    """Sales and returns of products by known customers, with owner and time.

    Args:
        lines: rows of silver.order_line.
        headers: rows of silver.order_header; they lend owner and time to lines without.

    Returns:
        One row per line: order_id, line_id, order_date, at TIMESTAMP, owner_node, product_id,
        line_type, quantity, unit_price.
    """
    known = headers.select(
        "order_id", F.col("owner_node").alias("_owner"), F.col("ordered_at").alias("_at")
    )
    return (
        lines.where("line_type IN ('sale', 'cancellation') AND product_id IS NOT NULL")
        .join(known, "order_id", "left")
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
    # Sorted streams, one for each task: a call for each of many small groups would cost more than
    # the allocation. A sale comes before a return of the same time.
    streams = concerned.repartition(*PAIR).sortWithinPartitions(
        *PAIR, "at", F.desc("line_type"), "order_id", "line_id"
    )
    return streams.mapInArrow(_allocated, ALLOCATED)


def _allocated(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    rows = (row for batch in batches for row in batch.to_pylist())
    found = allocate(Line(**{n: row[n] for n in Line._fields}) for row in rows)
    while some := list(itertools.islice(found, 10_000)):
        columns = zip(SCHEMA, zip(*some, strict=True), strict=True)
        yield pa.RecordBatch.from_arrays([pa.array(c, f.type) for f, c in columns], schema=SCHEMA)


class Line(NamedTuple):
    """A sale or return of a product, see `movements`."""

    order_id: str
    line_id: str
    order_date: date
    owner_node: int
    product_id: str
    line_type: str
    quantity: Decimal
    unit_price: Decimal


def allocate(lines: Iterable[Line]) -> Iterator[tuple[object, ...]]:
    """Allocate returns to sales; see `matched`.

    Args:
        lines: those of one owner and product together, in order of time, sales first.
    """
    for _, group in itertools.groupby(lines, lambda x: (x.owner_node, x.product_id)):
        stack: list[tuple[Line, Decimal]] = []
        for line in group:
            if line.line_type == "sale":
                if line.quantity > 0:
                    stack.append((line, line.quantity))
                continue
            left, price = abs(line.quantity), abs(line.unit_price)
            head = (line.order_id, line.line_id, line.order_date, line.owner_node, line.product_id)
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
