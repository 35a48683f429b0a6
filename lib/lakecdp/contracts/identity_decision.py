"""identity.decision: what persons have decided of identifiers, outranking the rules."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="identity.decision",
    grain="one row per decision of conf/decisions and period in which it was in force",
    owner="03_identity/resolve",
    key=("decision_id", "valid_from"),
    cluster_by=("decision_id",),
    columns=(
        column("decision_id", "STRING", "Hash of all that the decision says", required=True),
        column("action", "STRING", "link, unlink or block", required=True),
        column("node_a", "BIGINT", "The stronger identifier", required=True),
        column("type_a", "STRING", "Its type", required=True),
        column("node_b", "BIGINT", "The weaker identifier; null for block"),
        column("type_b", "STRING", "Its type"),
        column("author", "STRING", "Who decided", required=True, grade="personal"),
        column("reason", "STRING", "Why", required=True, grade="personal"),
        column("decided_on", "DATE", "When it was decided", required=True),
        column(
            "valid_from", "TIMESTAMP", "When it came into force (arrival time, UTC)", required=True
        ),
        column("valid_to", "TIMESTAMP", "When it was taken back; null while it is in force"),
    ),
)
