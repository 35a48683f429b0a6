"""silver.vacated: where a restated record used to count."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="silver.vacated",
    grain="one row per owner and day that an updated record has left",
    owner="02_silver/conform",
    key=(),
    cluster_by=("_batch",),
    notes="Lineage only: it tells gold.node_day which partials to compute again.",
    columns=(
        column("target", "STRING", "Table whose record moved", required=True),
        column("owner_node", "BIGINT", "Owner before the update"),
        column("day", "DATE", "Day before the update"),
        column("order_id", "STRING", "Order before the update"),
    ),
)
