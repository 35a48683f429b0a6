"""gold.node_category_day: daily partial sums by category."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="gold.node_category_day",
    grain="one row per identifier, day and category with activity",
    owner="04_tags/features",
    key=("day", "node_id", "category"),
    cluster_by=("day", "node_id"),
    prune_by="day",
    columns=(
        column("day", "DATE", "Day (UTC)", required=True),
        column("node_id", "BIGINT", "Owner of the records", required=True),
        column("category", "STRING", "Category", required=True),
        column("views", "BIGINT", "Product views", required=True),
        column("carts", "BIGINT", "Additions to the cart", required=True),
        column("units", "DECIMAL(28,3)", "Units sold", required=True),
        column("amount", "DECIMAL(28,4)", "Amount sold", required=True),
    ),
)
