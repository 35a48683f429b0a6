"""silver.order_line: what was sold, line by line."""

from lakecdp.contracts.table import (
    ARRIVED,
    IDENTIFIERS_TYPE,
    OUTLIERS,
    REPAIRS,
    TableContract,
    column,
)

CONTRACT = TableContract(
    name="silver.order_line",
    grain="one row per order line",
    owner="02_silver/conform",
    key=("order_id", "line_id"),
    cluster_by=("order_date", "order_id"),
    columns=(
        column("order_id", "STRING", "Order it belongs to", required=True),
        column(
            "line_id",
            "STRING",
            "Line number, or a hash of the content where the source has none",
            required=True,
        ),
        column("order_date", "DATE", "Day of the order (UTC) where the line itself states it"),
        column(
            "ordered_at",
            "TIMESTAMP",
            "When the order was placed (UTC) where the line itself states it",
        ),
        column("source", "STRING", "Source that delivered it", required=True),
        column("product_id", "STRING", "Product, as in silver.product"),
        column("product_name", "STRING", "Name on the line"),
        column("category", "STRING", "Category on the line; silver.product has it otherwise"),
        column(
            "item_type",
            "STRING",
            "product, postage, fee, discount, sample, manual, voucher, test or other",
            required=True,
        ),
        column(
            "line_type",
            "STRING",
            "sale, cancellation, adjustment or stock_correction",
            required=True,
        ),
        column("quantity", "DECIMAL(18,3)", "Units; negative when taken back", required=True),
        column("unit_price", "DECIMAL(18,4)", "Price of one unit, in currency", required=True),
        column(
            "amount",
            "DECIMAL(18,4)",
            "quantity x unit_price less discounts, in currency",
            required=True,
        ),
        column("currency", "STRING", "ISO 4217 code", required=True),
        column(
            "identifiers",
            IDENTIFIERS_TYPE,
            "Identifiers the record came with, strongest first",
            required=True,
        ),
        column("owner_node", "BIGINT", "Strongest identifier of the record; null when it has none"),
        REPAIRS,
        OUTLIERS,
        column(
            "_version_at", "TIMESTAMP", "Last one wins: the record's own time of change (lineage)"
        ),
        column("_content", "BIGINT", "Hash of the record's content; breaks ties (lineage)"),
        ARRIVED,
    ),
)
