"""identity.link: which customer an identifier belongs to, and since when."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="identity.link",
    grain="one row per identifier and period in which it belonged to one customer",
    owner="03_identity/resolve",
    key=("node_id", "valid_from"),
    cluster_by=("node_id",),
    columns=(
        column("node_id", "BIGINT", "Identifier", required=True),
        column("customer_id", "BIGINT", "Customer", required=True),
        column("valid_from", "TIMESTAMP", "Start of the period (arrival time, UTC)", required=True),
        column("valid_to", "TIMESTAMP", "End of the period; null while it lasts"),
    ),
)
