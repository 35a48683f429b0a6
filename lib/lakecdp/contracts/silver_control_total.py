"""silver.control_total: what a file should hold, as whoever sent it says."""

from lakecdp.contracts.table import ARRIVED, TableContract, column

CONTRACT = TableContract(
    name="silver.control_total",
    grain="one row per source and file that a manifest names",
    owner="02_silver/conform",
    key=("of_source", "file"),
    cluster_by=("control_date",),
    columns=(
        column("of_source", "STRING", "Source whose file it is about", required=True),
        column("file", "STRING", "Path of that file below the landing folder", required=True),
        column("source", "STRING", "Source that delivered the manifest", required=True),
        column("control_date", "DATE", "Day that the file stands for", required=True),
        column("records", "BIGINT", "Records that the file should hold", required=True),
        column("amount", "DECIMAL(28,4)", "Sum of their amounts, in the currency of the file"),
        column(
            "_version_at", "TIMESTAMP", "Last one wins: the record's own time of change (lineage)"
        ),
        column("_content", "BIGINT", "Hash of the record's content; breaks ties (lineage)"),
        ARRIVED,
    ),
)
