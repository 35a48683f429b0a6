"""silver.vacated: where a restated record used to count."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="silver.vacated",
    grain="one row per owner and day that an updated record has left, product that changed category or cost, "
    "or deleted exchange rate",
    owner="02_silver/conform",
    key=(),
    cluster_by=("_batch",),
    notes="Lineage only: it tells silver.order, identity.edge, gold.golden_record, gold.node_day and "
    "operations.table_day what to compute again.",
    columns=(
        column("target", "STRING", "Table whose record moved", required=True),
        column("owner_node", "BIGINT", "Owner before the update"),
        column("day", "DATE", "Day before the update, or of the rate"),
        column("order_id", "STRING", "Order before the update"),
        column("product_id", "STRING", "Product whose category or cost is another than before"),
    ),
)
