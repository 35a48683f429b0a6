"""silver.payment: what was paid."""

from lakecdp.contracts.table import ARRIVED, OUTLIERS, REPAIRS, TableContract, column

CONTRACT = TableContract(
    name="silver.payment",
    grain="one row per payment of an order",
    owner="02_silver/conform",
    key=("order_id", "payment_id"),
    cluster_by=("order_id",),
    columns=(
        column("order_id", "STRING", "Order that is paid", required=True),
        column(
            "payment_id", "STRING", "Number of the payment, or a hash of the content", required=True
        ),
        column("paid_at", "TIMESTAMP", "When it was paid (UTC)"),
        column("source", "STRING", "Source that delivered it", required=True),
        column("method", "STRING", "card, cash, wallet, voucher ..."),
        column(
            "amount",
            "DECIMAL(18,4)",
            "Amount paid, in currency; negative when paid back",
            required=True,
        ),
        column("currency", "STRING", "ISO 4217 code", required=True),
        column("installments", "INT", "Number of instalments"),
        column("status", "STRING", "State given by the source"),
        REPAIRS,
        OUTLIERS,
        column(
            "_version_at", "TIMESTAMP", "Last one wins: the record's own time of change (lineage)"
        ),
        column("_content", "BIGINT", "Hash of the record's content; breaks ties (lineage)"),
        ARRIVED,
    ),
)
