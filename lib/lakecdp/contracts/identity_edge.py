"""identity.edge: two identifiers seen together, with the evidence."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="identity.edge",
    grain="one row per pair of identifiers, source and silver table that shows them together",
    owner="03_identity/resolve",
    key=("node_a", "node_b", "source", "target"),
    cluster_by=("node_a",),
    columns=(
        column("node_a", "BIGINT", "The stronger identifier: owner of the records", required=True),
        column("node_b", "BIGINT", "The weaker identifier", required=True),
        column("source", "STRING", "Source of the evidence", required=True),
        column("target", "STRING", "Silver table that holds the records", required=True),
        column("type_a", "STRING", "Type of node_a", required=True),
        column("type_b", "STRING", "Type of node_b", required=True),
        column(
            "weight",
            "DOUBLE",
            "Probability that both are one person; 1 for what records or decisions state",
        ),
        column(
            "status",
            "STRING",
            "active; blocked (by a rule or a decision); removed (the evidence was taken back)",
            required=True,
        ),
        column(
            "reason",
            "STRING",
            "What blocks it: junk, limit, veto, expired or block, a colon, and the type concerned; "
            "unlink. Withdrawn for a removed one",
        ),
        column(
            "first_seen", "TIMESTAMP", "First record (event time, UTC); null when none is dated"
        ),
        column("last_seen", "TIMESTAMP", "Last record (event time, UTC)"),
        column("evidence", "STRING", "Key of the first record that shows both", required=True),
        column("removed_at", "TIMESTAMP", "When it was removed (arrival time, UTC)"),
    ),
)
