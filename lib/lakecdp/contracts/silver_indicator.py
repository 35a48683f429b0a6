"""silver.indicator: indices and trend series of regions and industries."""

from lakecdp.contracts.table import ARRIVED, OUTLIERS, REPAIRS, TableContract, column

CONTRACT = TableContract(
    name="silver.indicator",
    grain="one row per series, region, category and period",
    owner="02_silver/conform",
    key=(
        "indicator",
        "region",
        "category",
        "period_start",
    ),
    cluster_by=(
        "indicator",
        "period_start",
    ),
    columns=(
        column("indicator", "STRING", "Series", grade="public", required=True),
        column(
            "region", "STRING", "Region; all for the whole market", grade="public", required=True
        ),
        column(
            "category",
            "STRING",
            "Category or industry; all for every one",
            grade="public",
            required=True,
        ),
        column("period_start", "DATE", "First day of the period", grade="public", required=True),
        column("source", "STRING", "Source that delivered it", required=True),
        column(
            "frequency",
            "STRING",
            "day, week, month, quarter or year",
            grade="public",
            required=True,
        ),
        column("value", "DECIMAL(28,8)", "Value, in unit", grade="public", required=True),
        column("unit", "STRING", "Unit: index, %, persons ...", grade="public"),
        REPAIRS,
        OUTLIERS,
        column(
            "_version_at", "TIMESTAMP", "Last one wins: the record's own time of change (lineage)"
        ),
        column("_content", "BIGINT", "Hash of the record's content; breaks ties (lineage)"),
        ARRIVED,
    ),
)
