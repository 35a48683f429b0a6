"""operations.table_day: how many rows a day has, how new they are, and what is missing in them."""

from lakecdp.contracts.table import TableContract, column

COUNTS = "ARRAY<STRUCT<name: STRING, rows: BIGINT>>"

CONTRACT = TableContract(
    name="operations.table_day",
    grain="one row per table, source and day",
    owner="09_operations/monitor",
    key=("table_name", "source", "day"),
    cluster_by=("day",),
    prune_by="day",
    notes="Of a table whose rows have a day (event_date, order_date ...) the row counts what the table holds "
    "of that day, late records and restatements included. Of other tables it counts the rows that runs of "
    "that date wrote.",
    columns=(
        column("table_name", "STRING", "Table that is measured", required=True),
        column("source", "STRING", "Source; empty where the table has none", required=True),
        column("day", "DATE", "Day of the rows (UTC), or run date that wrote them", required=True),
        column("rows", "BIGINT", "Rows", required=True),
        column("newest_at", "TIMESTAMP", "Latest time that a row states (UTC)"),
        column(
            "nulls", COUNTS, "Rows without a value, by column; columns without a gap are left out"
        ),
        column("repaired", COUNTS, "Rows that a repair of conf/repairs.yaml changed, by rule"),
        column("flagged", COUNTS, "Rows that an outlier rule of conf/repairs.yaml flags, by rule"),
    ),
)
