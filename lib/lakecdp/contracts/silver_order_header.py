"""silver.order_header: orders as delivered, without their lines."""

from lakecdp.contracts.table import (
    ARRIVED,
    IDENTIFIERS_TYPE,
    OUTLIERS,
    REPAIRS,
    TableContract,
    column,
)

CONTRACT = TableContract(
    name="silver.order_header",
    grain="one row per order as the source states it",
    owner="02_silver/conform",
    key=("order_id",),
    cluster_by=("order_date", "order_id"),
    columns=(
        column(
            "order_id",
            "STRING",
            "Order, invoice or ticket number; unique across sources",
            required=True,
        ),
        column("order_date", "DATE", "Day of the order (UTC)", required=True),
        column("ordered_at", "TIMESTAMP", "When it was placed (UTC)", required=True),
        column("source", "STRING", "Source that delivered it", required=True),
        column("channel", "STRING", "web, app, store ...", required=True),
        column("store", "STRING", "Shop"),
        column("status", "STRING", "State given by the source"),
        column(
            "kind",
            "STRING",
            "sale, cancellation, adjustment, stock_correction, or void (never took effect)",
            required=True,
        ),
        column("currency", "STRING", "ISO 4217 code", required=True),
        column("declared_amount", "DECIMAL(18,4)", "Total stated by the source, in currency"),
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
