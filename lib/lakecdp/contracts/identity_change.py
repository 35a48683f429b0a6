"""identity.change: the ledger of customers: created, extended, merged, split."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="identity.change",
    grain="one row per customer and change",
    owner="03_identity/resolve",
    key=("change_id",),
    cluster_by=("_batch",),
    notes=(
        "It balances with identity.link: create and extend add `nodes` identifiers to a customer, "
        "merge and split move them from `from_customer_id`, withdraw takes them off."
    ),
    columns=(
        column("change_id", "STRING", "Batch and number within it", required=True),
        column("changed_at", "TIMESTAMP", "When (arrival time, UTC)", required=True),
        column(
            "kind",
            "STRING",
            "create; extend (new identifiers); merge; split; withdraw (evidence was taken back)",
            required=True,
        ),
        column("customer_id", "BIGINT", "Customer concerned afterwards", required=True),
        column("from_customer_id", "BIGINT", "Customer that was merged away, or that was split"),
        column("nodes", "BIGINT", "Identifiers added, moved or taken off", required=True),
        column("node_a", "BIGINT", "Edge that caused it"),
        column("node_b", "BIGINT", "Edge that caused it"),
        column("source", "STRING", "Source of that edge"),
    ),
)
