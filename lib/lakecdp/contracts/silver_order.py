"""silver.order: orders with the totals of their lines and payments."""

from lakecdp.contracts.table import IDENTIFIERS_TYPE, TableContract, column

CONTRACT = TableContract(
    name="silver.order",
    grain="one row per order",
    owner="02_silver/assemble",
    key=("order_id",),
    cluster_by=("order_date", "order_id"),
    columns=(
        column("order_id", "STRING", "Order, invoice or ticket number", required=True),
        column("order_date", "DATE", "Day of the order (UTC)", required=True),
        column("ordered_at", "TIMESTAMP", "When it was placed (UTC)", required=True),
        column("source", "STRING", "Source that delivered the order", required=True),
        column("channel", "STRING", "web, app, store ...", required=True),
        column("store", "STRING", "Shop"),
        column("status", "STRING", "State given by the source"),
        column(
            "kind",
            "STRING",
            "sale, cancellation, adjustment, stock_correction, or void (never took effect)",
            required=True,
        ),
        column("currency", "STRING", "ISO 4217 code", required=True),
        column(
            "identifiers",
            IDENTIFIERS_TYPE,
            "Identifiers of the order and its lines, strongest first",
            required=True,
        ),
        column("owner_node", "BIGINT", "Strongest identifier; null for unattributed sales"),
        column("line_count", "INT", "Lines", required=True),
        column("units", "DECIMAL(28,3)", "Units of products", required=True),
        column("amount", "DECIMAL(28,4)", "Sum of all lines, in currency", required=True),
        column(
            "product_amount",
            "DECIMAL(28,4)",
            "Sum of the lines that are products, in currency",
            required=True,
        ),
        column(
            "categories",
            "ARRAY<STRUCT<category: STRING, units: DECIMAL(28,3), amount: DECIMAL(28,4)>>",
            "Products of the order by category, in order of name",
            required=True,
        ),
        column(
            "exchange_rate",
            "DECIMAL(22,16)",
            "What a unit of currency is worth in the reporting currency (that of the lake) on order_date; "
            "null when no rate is known",
        ),
        column("reporting_amount", "DECIMAL(28,4)", "amount, in the reporting currency"),
        column(
            "reporting_product_amount",
            "DECIMAL(28,4)",
            "product_amount, in the reporting currency",
        ),
        column(
            "reporting_cost",
            "DECIMAL(28,4)",
            "Cost of the products of a sale or cancellation, in the reporting currency; null unless that "
            "of each is known",
        ),
        column(
            "reporting_margin",
            "DECIMAL(28,4)",
            "reporting_product_amount less reporting_cost",
        ),
        column("declared_amount", "DECIMAL(18,4)", "Total stated by the source, in currency"),
        column(
            "paid_amount",
            "DECIMAL(28,4)",
            "Sum of its payments, in currency; null when none is known",
        ),
    ),
)
