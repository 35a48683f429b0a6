"""silver.calendar_day: holidays, festivals and other special days."""

from lakecdp.contracts.table import ARRIVED, OUTLIERS, REPAIRS, TableContract, column

CONTRACT = TableContract(
    name="silver.calendar_day",
    grain="one row per day, country, region and occasion",
    owner="02_silver/conform",
    key=(
        "day",
        "country",
        "region",
        "name",
    ),
    cluster_by=("day",),
    columns=(
        column("day", "DATE", "Day", grade="public", required=True),
        column("country", "STRING", "Country (ISO 3166)", grade="public", required=True),
        column(
            "region", "STRING", "Region; all for the whole country", grade="public", required=True
        ),
        column("name", "STRING", "Occasion", grade="public", required=True),
        column("source", "STRING", "Source that delivered it", required=True),
        column(
            "kind",
            "STRING",
            "public_holiday, school_holiday, festival, sales_day, working_day or other",
            grade="public",
            required=True,
        ),
        column("day_off", "BOOLEAN", "Whether most people are off work", grade="public"),
        REPAIRS,
        OUTLIERS,
        column(
            "_version_at", "TIMESTAMP", "Last one wins: the record's own time of change (lineage)"
        ),
        column("_content", "BIGINT", "Hash of the record's content; breaks ties (lineage)"),
        ARRIVED,
    ),
)
