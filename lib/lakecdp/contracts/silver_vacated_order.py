"""silver.vacated_order: where a restated order used to count."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="silver.vacated_order",
    grain="one row per order and batch that restated it, as the order was before",
    owner="02_silver/assemble",
    key=(),
    cluster_by=("_batch",),
    notes="Lineage only: it tells gold.node_day what to compute again.",
    columns=(
        column("order_id", "STRING", "The order", required=True),
        column("owner_node", "BIGINT", "Owner before"),
        column("day", "DATE", "Day before"),
    ),
)
