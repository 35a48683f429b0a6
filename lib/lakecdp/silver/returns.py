"""Returns find the sale that they take back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

ALLOCATED = (
    "order_id string, line_id string, order_date date, owner_node bigint, product_id string, "
    "sale_order_id string, sale_line_id string, quantity decimal(18,3), amount decimal(18,4)"
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
    returns = rows.where("line_type = 'cancellation'").select("owner_node", "product_id").distinct()
    concerned = rows.join(returns, ["owner_node", "product_id"], "left_semi")
    return concerned.groupBy("owner_node", "product_id").applyInPandas(_allocated, ALLOCATED)


def _allocated(group: pd.DataFrame) -> pd.DataFrame:
    columns = [c.split()[0] for c in ALLOCATED.split(", ")]
    return pd.DataFrame(list(allocate(group)), columns=columns)


def allocate(group: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    """Allocate the returns of one owner and product; see `matched`."""
    lines = group.sort_values(
        ["at", "line_type", "order_id", "line_id"], ascending=[True, False, True, True]
    )
    stack: list[list[Any]] = []
    line: Any
    for line in lines.itertuples(index=False):
        if line.line_type == "sale":
            if line.quantity > 0:
                stack.append([line.order_id, line.line_id, line.quantity])
            continue
        left = abs(line.quantity)
        price = abs(line.unit_price)
        head = (line.order_id, line.line_id, line.order_date, line.owner_node, line.product_id)
        while left > 0 and stack:
            sale = stack[-1]
            units = min(left, sale[2])
            yield (*head, sale[0], sale[1], units, units * price)
            left -= units
            sale[2] -= units
            if not sale[2]:
                stack.pop()
        if left > 0:
            yield (*head, "", "", left, left * price)
