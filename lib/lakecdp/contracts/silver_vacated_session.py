"""silver.vacated_session: who owned events before their session changed."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="silver.vacated_session",
    grain="one row per owner and day that some event has left, and batch",
    owner="02_silver/sessionize",
    key=(),
    cluster_by=("_batch",),
    notes="Lineage only: it tells gold.node_day what to compute again.",
    columns=(
        column("owner_node", "BIGINT", "Owner before", required=True),
        column("day", "DATE", "Day of the events", required=True),
    ),
)
