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
        column("status", "STRING", "active or blocked (by a rule)", required=True),
        column(
            "reason",
            "STRING",
            "Rule that blocks it: junk, limit or veto, a colon, and the type concerned",
        ),
        column(
            "first_seen", "TIMESTAMP", "First record (event time, UTC); null when none is dated"
        ),
        column("last_seen", "TIMESTAMP", "Last record (event time, UTC)"),
        column("evidence", "STRING", "Key of the first record that shows both", required=True),
    ),
)
