"""silver.identifier: the clear value behind a node; no other table holds one."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="silver.identifier",
    grain="one row per identifier ever seen",
    owner="02_silver/conform",
    key=("node_id",),
    cluster_by=("node_id",),
    columns=(
        column("node_id", "BIGINT", "Keyed hash of type and normalised value", required=True),
        column("type", "STRING", "Identifier type of conf/identity.yaml", required=True),
        column("value", "STRING", "Normalised clear value", grade="personal", required=True),
    ),
)
