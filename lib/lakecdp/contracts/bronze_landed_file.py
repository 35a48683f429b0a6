"""bronze.landed_file: what has been taken in, file by file."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="bronze.landed_file",
    grain="one row per file version (path, size, time of change) that a source has taken in",
    owner="01_bronze/ingest",
    key=("source", "file", "bytes", "modified_at"),
    cluster_by=("source",),
    columns=(
        column("source", "STRING", "Source that the file belongs to", required=True),
        column("file", "STRING", "Path below the landing folder", required=True),
        column("bytes", "BIGINT", "Size (bytes)", required=True),
        column("modified_at", "TIMESTAMP", "When the file was last changed (UTC)", required=True),
        column("records", "BIGINT", "Records found in it", required=True),
        column("landed", "BIGINT", "Records that reached bronze", required=True),
        column("quarantined", "BIGINT", "Records kept aside", required=True),
        column(
            "header",
            "ARRAY<STRING>",
            "Column names in its header (CSV); fields of the records of its batch (JSON)",
        ),
        column(
            "state", "STRING", "landed, or refused when the whole file is unreadable", required=True
        ),
        column("reason", "STRING", "Why a file was refused"),
        column("arrived_at", "TIMESTAMP", "When its batch took it in (UTC)", required=True),
    ),
)
