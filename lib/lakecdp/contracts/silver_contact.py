"""silver.contact: service contacts of customers."""

from lakecdp.contracts.table import (
    ARRIVED,
    IDENTIFIERS_TYPE,
    OUTLIERS,
    REPAIRS,
    TableContract,
    column,
)

CONTRACT = TableContract(
    name="silver.contact",
    grain="one row per contact of a customer with service",
    owner="02_silver/conform",
    key=(
        "contact_date",
        "contact_id",
    ),
    cluster_by=("contact_date",),
    prune_by="contact_date",
    columns=(
        column("contact_date", "DATE", "Day of the contact (UTC)", required=True),
        column(
            "contact_id",
            "STRING",
            "Id given by the source, or a hash of the content",
            required=True,
        ),
        column("contacted_at", "TIMESTAMP", "When it began (UTC)", required=True),
        column("source", "STRING", "Source that delivered it", required=True),
        column("channel", "STRING", "phone, chat, email, store ...", required=True),
        column(
            "identifiers",
            IDENTIFIERS_TYPE,
            "Identifiers the record came with, strongest first",
            required=True,
        ),
        column("owner_node", "BIGINT", "Strongest identifier of the record; null when it has none"),
        column("direction", "STRING", "in: by the customer; out: by the company"),
        column("topic", "STRING", "What it was about: complaint, return, delivery, advice ..."),
        column("status", "STRING", "State given by the source"),
        column("resolved_at", "TIMESTAMP", "When it was settled (UTC)"),
        column("wait_seconds", "DECIMAL(12,3)", "Time until somebody answered (seconds)"),
        column("duration_seconds", "DECIMAL(12,3)", "Time it took (seconds)"),
        column("agent", "STRING", "Who answered", grade="personal"),
        column("order_id", "STRING", "Order concerned"),
        column("product_id", "STRING", "Product concerned"),
        column(
            "satisfaction", "DECIMAL(9,3)", "Rating by the customer, on the scale of the source"
        ),
        column("text", "STRING", "What was said", grade="sensitive"),
        column("properties", "VARIANT", "Everything else the source delivered", grade="personal"),
        REPAIRS,
        OUTLIERS,
        column(
            "_version_at", "TIMESTAMP", "Last one wins: the record's own time of change (lineage)"
        ),
        column("_content", "BIGINT", "Hash of the record's content; breaks ties (lineage)"),
        ARRIVED,
    ),
)
