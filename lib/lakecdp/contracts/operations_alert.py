"""operations.alert: what was out of the ordinary, and whether it still is."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="operations.alert",
    grain="one row per table, source, metric, column and day that is or was out of the ordinary",
    owner="09_operations/monitor",
    key=("table_name", "source", "metric", "column_name", "day"),
    cluster_by=("day",),
    prune_by="day",
    notes="`lakecdp alerts` lists the open ones. They make the exit status: 1 where one has severity fail, "
    "else 3.",
    columns=(
        column("table_name", "STRING", "Table that was measured", required=True),
        column("source", "STRING", "Source; empty where the table has none", required=True),
        column("metric", "STRING", "rows, freshness or null_rate", required=True),
        column("column_name", "STRING", "Column of a null rate; else empty", required=True),
        column(
            "day",
            "DATE",
            "Day that is out of the ordinary; of freshness the day of the newest row (UTC)",
            required=True,
        ),
        column("severity", "STRING", "fail or warn, as in conf/monitoring.yaml", required=True),
        column("state", "STRING", "open or closed", required=True),
        column(
            "value",
            "DECIMAL(20,6)",
            "What was measured: rows, hours since the newest row, or share of rows without a value",
            required=True,
        ),
        column(
            "expected", "DECIMAL(20,6)", "Median of the days it is compared with", required=True
        ),
        column("lower", "DECIMAL(20,6)", "What is usual begins here; null: no limit"),
        column("upper", "DECIMAL(20,6)", "What is usual ends here; null: no limit"),
        column("sentence", "STRING", "The same in words", required=True),
        column("opened_on", "DATE", "Run date that found it", required=True),
        column("closed_on", "DATE", "Run date that closed it"),
        column(
            "closed_because",
            "STRING",
            "resolved: usual again; expired: too old to be judged; off: judged no more",
        ),
        column("told", "STRING", "State that the webhook was last told; null: nothing"),
        column("told_at", "TIMESTAMP", "When (UTC)"),
        column(
            "not_told",
            "STRING",
            "Why the webhook could not be told; null: it was, or there is none",
        ),
    ),
)
