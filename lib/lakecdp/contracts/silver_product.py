"""silver.product: the catalogue."""

from lakecdp.contracts.table import ARRIVED, OUTLIERS, REPAIRS, TableContract, column

CONTRACT = TableContract(
    name="silver.product",
    grain="one row per product",
    owner="02_silver/conform",
    key=("product_id",),
    cluster_by=("product_id",),
    columns=(
        column("product_id", "STRING", "Product number", grade="public", required=True),
        column("source", "STRING", "Source that delivered it", required=True),
        column("name", "STRING", "Name", grade="public"),
        column("category", "STRING", "Category", grade="public"),
        column("brand", "STRING", "Brand", grade="public"),
        column("price", "DECIMAL(18,4)", "List price, in currency", grade="public"),
        column("cost", "DECIMAL(18,4)", "Unit cost, in currency"),
        column("currency", "STRING", "ISO 4217 code", grade="public"),
        REPAIRS,
        OUTLIERS,
        column(
            "_version_at", "TIMESTAMP", "Last one wins: the record's own time of change (lineage)"
        ),
        column("_content", "BIGINT", "Hash of the record's content; breaks ties (lineage)"),
        ARRIVED,
    ),
)
