"""silver.return: what came back, and the sale it takes back."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="silver.return",
    grain="one row per return line and sale line that it takes back (null when no sale is found)",
    owner="02_silver/assemble",
    key=("order_id", "line_id", "sale_order_id", "sale_line_id"),
    cluster_by=("order_date", "order_id"),
    columns=(
        column("order_id", "STRING", "Cancellation or return order", required=True),
        column("line_id", "STRING", "Its line", required=True),
        column("order_date", "DATE", "Day of the return (UTC)", required=True),
        column("owner_node", "BIGINT", "Who returned"),
        column("product_id", "STRING", "Product that came back"),
        column(
            "sale_order_id",
            "STRING",
            "Order it was sold in; empty when none is found",
            required=True,
        ),
        column(
            "sale_line_id", "STRING", "Line it was sold in; empty when none is found", required=True
        ),
        column(
            "quantity",
            "DECIMAL(18,3)",
            "Units taken back from that sale line (positive)",
            required=True,
        ),
        column(
            "amount",
            "DECIMAL(18,4)",
            "Value taken back at the return price, in currency (positive)",
            required=True,
        ),
    ),
)
