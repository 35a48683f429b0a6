"""gold.coverage_file: files against their control totals."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="gold.coverage_file",
    grain="one row per source with control totals and file that arrived or should have",
    owner="08_measurement/coverage",
    key=("source", "file"),
    cluster_by=("day",),
    columns=(
        column("source", "STRING", "Source of the file", required=True),
        column("file", "STRING", "Path below the landing folder", required=True),
        column("channel", "STRING", "Channel of the source", required=True),
        column(
            "day",
            "DATE",
            "Day by its control total, else the last day of its records; null when neither is known",
        ),
        column("expected", "BIGINT", "Records by control total; null when there is none"),
        column("expected_amount", "DECIMAL(28,4)", "Amount by control total, in currency"),
        column(
            "arrived",
            "BIGINT",
            "Records of its last delivery that reached bronze; 0 when it has not arrived",
            required=True,
        ),
        column("arrived_amount", "DECIMAL(28,4)", "Sum of their amounts, in currency"),
        column("last_day", "DATE", "Last day of its records (UTC)"),
    ),
)
