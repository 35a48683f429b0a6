"""silver.product_cost: what a unit of a product costs, from which day on."""

from lakecdp.contracts.table import ARRIVED, OUTLIERS, REPAIRS, TableContract, column

CONTRACT = TableContract(
    name="silver.product_cost",
    grain="one row per product and first day of a cost",
    owner="02_silver/conform",
    key=("product_id", "cost_from"),
    cluster_by=("product_id",),
    notes="A cost holds until the next one of its product begins. Before the first one, and for "
    "products that have none here, the cost in silver.product counts.",
    columns=(
        column("product_id", "STRING", "Product number", grade="public", required=True),
        column("cost_from", "DATE", "First day of the cost", required=True),
        column("source", "STRING", "Source that delivered it", required=True),
        column("cost", "DECIMAL(18,4)", "Cost of one unit, in currency", required=True),
        column("currency", "STRING", "ISO 4217 code", required=True),
        REPAIRS,
        OUTLIERS,
        column(
            "_version_at", "TIMESTAMP", "Last one wins: the record's own time of change (lineage)"
        ),
        column("_content", "BIGINT", "Hash of the record's content; breaks ties (lineage)"),
        ARRIVED,
    ),
)
