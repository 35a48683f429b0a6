"""silver.footfall: visitors that counters at doors have seen."""

from lakecdp.contracts.table import ARRIVED, OUTLIERS, REPAIRS, TableContract, column

CONTRACT = TableContract(
    name="silver.footfall",
    grain="one row per shop, counter and period",
    owner="02_silver/conform",
    key=(
        "footfall_date",
        "started_at",
        "store",
        "counter",
    ),
    cluster_by=("footfall_date",),
    prune_by="footfall_date",
    columns=(
        column("footfall_date", "DATE", "Day of the period (UTC)", required=True),
        column("started_at", "TIMESTAMP", "Start of the period (UTC)", required=True),
        column("store", "STRING", "Shop", required=True),
        column("counter", "STRING", "Counter or door; all where the shop has one", required=True),
        column("source", "STRING", "Source that delivered it", required=True),
        column("minutes", "INT", "Length of the period (minutes)", required=True),
        column("entered", "BIGINT", "Visitors that came in", required=True),
        column("exited", "BIGINT", "Visitors that went out"),
        REPAIRS,
        OUTLIERS,
        column(
            "_version_at", "TIMESTAMP", "Last one wins: the record's own time of change (lineage)"
        ),
        column("_content", "BIGINT", "Hash of the record's content; breaks ties (lineage)"),
        ARRIVED,
    ),
)
