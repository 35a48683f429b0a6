"""identity.node: identifiers as nodes of the identity graph."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="identity.node",
    grain="one row per identifier that takes part in identity",
    owner="03_identity/resolve",
    key=("node_id",),
    cluster_by=("node_id",),
    columns=(
        column("node_id", "BIGINT", "Keyed hash of type and normalised value", required=True),
        column("type", "STRING", "Identifier type of conf/identity.yaml", required=True),
        column(
            "status",
            "STRING",
            "active; junk when the rules refuse the value; blocked by a decision; limit when it meets "
            "too many others; shared: a device that a veto keeps apart from some person",
            required=True,
        ),
        column(
            "first_seen",
            "TIMESTAMP",
            "First event or order (event time, UTC); null when only attributes state it",
        ),
        column("last_seen", "TIMESTAMP", "Last event or order (event time, UTC)"),
    ),
)
