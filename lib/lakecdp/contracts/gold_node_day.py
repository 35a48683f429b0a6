"""gold.node_day: daily partial sums of what an identifier did."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="gold.node_day",
    grain="one row per identifier and day with activity",
    owner="04_tags/features",
    key=("day", "node_id"),
    cluster_by=("day", "node_id"),
    prune_by="day",
    columns=(
        column("day", "DATE", "Day (UTC)", required=True),
        column("node_id", "BIGINT", "Owner of the records", required=True),
        column("events", "BIGINT", "Valid events", required=True),
        column("views", "BIGINT", "Product and page views", required=True),
        column("searches", "BIGINT", "Searches", required=True),
        column("carts", "BIGINT", "Additions to the cart", required=True),
        column("favourites", "BIGINT", "Additions to the favourites", required=True),
        column("checkouts", "BIGINT", "Checkouts begun", required=True),
        column("shares", "BIGINT", "Shares", required=True),
        column("dwell_seconds", "DECIMAL(28,3)", "Time spent (seconds)", required=True),
        column("hours", "INT", "Hours with activity: bit h stands for hour h (UTC)", required=True),
        column("channels", "ARRAY<STRING>", "Channels used, in order of name", required=True),
        column("first_at", "TIMESTAMP", "First activity (UTC)", required=True),
        column("last_at", "TIMESTAMP", "Last activity (UTC)", required=True),
        column("device_model", "STRING", "Device model of the last event that states one"),
        column("device_at", "TIMESTAMP", "When that device model was stated (UTC)"),
        column("os", "STRING", "Operating system of the last event that states one"),
        column("os_at", "TIMESTAMP", "When that operating system was stated (UTC)"),
        column("orders", "BIGINT", "Orders of kind sale", required=True),
        column("units", "DECIMAL(28,3)", "Units of products sold", required=True),
        column(
            "amount",
            "DECIMAL(28,4)",
            "Amount of products sold, in currency of the lake",
            required=True,
        ),
        column("returns", "BIGINT", "Orders of kind cancellation", required=True),
        column(
            "returned_amount",
            "DECIMAL(28,4)",
            "Amount of products returned (positive)",
            required=True,
        ),
        column(
            "margin",
            "DECIMAL(28,4)",
            "Amount less cost of sales and returns, as far as costs are known; in currency of the lake",
            required=True,
        ),
    ),
)
