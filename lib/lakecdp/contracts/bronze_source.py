"""bronze.<source>: the raw records of one source as they came."""

from lakecdp.contracts.table import TableContract, column


def for_source(source: str) -> TableContract:
    """The contract of the bronze table of one source."""
    return TableContract(
        name=f"bronze.{source}",
        grain="one row per readable record of a landed file, topic or pull",
        owner="01_bronze/ingest",
        key=("file", "line"),
        cluster_by=("_batch",),
        columns=(
            column("raw", "VARIANT", "The record as delivered, every field", grade="sensitive"),
            column(
                "file",
                "STRING",
                "Path below the landing folder; topic-partition; or pull-<number>/<table>",
                required=True,
            ),
            column(
                "line",
                "BIGINT",
                "Line (or record, in multi-line files and pulls) from 1; offset",
                required=True,
            ),
            column("arrived_at", "TIMESTAMP", "When its batch took it in (UTC)", required=True),
        ),
        notes="Append-only. A file that is delivered again with other content lands again.",
    )
