"""silver.quarantine: every record that was refused, with the reason."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="silver.quarantine",
    grain="one row per refused record and table that it was meant for",
    owner="02_silver/conform",
    key=("source", "file", "line", "target"),
    cluster_by=("source", "file"),
    columns=(
        column("source", "STRING", "Source of the record", required=True),
        column(
            "file",
            "STRING",
            "Path of its file below the landing folder, or place as in bronze",
            required=True,
        ),
        column(
            "line",
            "BIGINT",
            "Line in the file from 1, or offset; 0, without `raw`, when the whole file is meant",
            required=True,
        ),
        column(
            "target", "STRING", "Table it was meant for: bronze or a silver table", required=True
        ),
        column("reason", "STRING", "What is wrong with it, in one sentence", required=True),
        column("raw", "BINARY", "The record's bytes, exactly as delivered", grade="sensitive"),
        column(
            "status",
            "STRING",
            "open, or replayed once a repaired mapping took it in",
            required=True,
        ),
        column("arrived_at", "TIMESTAMP", "When it was first refused (UTC)", required=True),
        column("replayed_at", "TIMESTAMP", "When it was taken in after all (UTC)"),
    ),
    notes="Written by 01_bronze/ingest too. `lakecdp quarantine replay` tries the open rows again.",
)
