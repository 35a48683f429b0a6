"""silver.exchange_rate: what one currency is worth in another, day by day."""

from lakecdp.contracts.table import ARRIVED, OUTLIERS, REPAIRS, TableContract, column

CONTRACT = TableContract(
    name="silver.exchange_rate",
    grain="one row per base currency, currency and day with a rate",
    owner="02_silver/conform",
    key=("base_currency", "currency", "rate_date"),
    cluster_by=("rate_date",),
    notes="A day without a rate, such as a Sunday, has that of the last day before it: see "
    "`exchange_rate_days` in the settings.",
    columns=(
        column("base_currency", "STRING", "ISO 4217 code", grade="public", required=True),
        column("currency", "STRING", "ISO 4217 code", grade="public", required=True),
        column("rate_date", "DATE", "Day of the rate", grade="public", required=True),
        column("source", "STRING", "Source that delivered it", required=True),
        column(
            "rate",
            "DECIMAL(20,10)",
            "Units of currency that one unit of base_currency is worth",
            grade="public",
            required=True,
        ),
        REPAIRS,
        OUTLIERS,
        column(
            "_version_at", "TIMESTAMP", "Last one wins: the record's own time of change (lineage)"
        ),
        column("_content", "BIGINT", "Hash of the record's content; breaks ties (lineage)"),
        ARRIVED,
    ),
)
