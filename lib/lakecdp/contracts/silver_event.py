"""silver.event: what people did, in GA4 e-commerce event names."""

from lakecdp.contracts.table import (
    ARRIVED,
    IDENTIFIERS_TYPE,
    OUTLIERS,
    REPAIRS,
    TableContract,
    column,
)

CONTRACT = TableContract(
    name="silver.event",
    grain="one row per behaviour event",
    owner="02_silver/conform",
    key=("event_date", "event_id"),
    cluster_by=("event_date",),
    prune_by="event_date",
    columns=(
        column("event_date", "DATE", "Day of the event (UTC)", required=True),
        column(
            "event_id", "STRING", "Id given by the source, or a hash of the content", required=True
        ),
        column("event_at", "TIMESTAMP", "When it happened (UTC)", required=True),
        column(
            "event_name",
            "STRING",
            "GA4 name: page_view, view_item, search, add_to_cart, begin_checkout, purchase ...; what a server "
            "logs besides pages is request or file_request, and no behaviour",
            required=True,
        ),
        column("source", "STRING", "Source that delivered it", required=True),
        column("channel", "STRING", "app, web, mini_program, store ...", required=True),
        column(
            "identifiers",
            IDENTIFIERS_TYPE,
            "Identifiers the record came with, strongest first",
            required=True,
        ),
        column("owner_node", "BIGINT", "Strongest identifier of the record; null when it has none"),
        column("session_hint", "STRING", "Session id given by the source"),
        column("product_id", "STRING", "Product concerned"),
        column("category", "STRING", "Category concerned"),
        column("order_id", "STRING", "Order concerned"),
        column("search_term", "STRING", "What was searched"),
        column("page", "STRING", "Page or screen"),
        column("dwell_seconds", "DECIMAL(12,3)", "Time spent on it (seconds)"),
        column("quantity", "DECIMAL(18,3)", "Units concerned"),
        column("amount", "DECIMAL(18,4)", "Value concerned, in currency"),
        column("currency", "STRING", "ISO 4217 code"),
        column("device_model", "STRING", "Device model"),
        column("os", "STRING", "Operating system"),
        column("country", "STRING", "Country"),
        column("region", "STRING", "Region or province"),
        column("city", "STRING", "City", grade="personal"),
        column("ip", "STRING", "IP address", grade="personal"),
        column("user_agent", "STRING", "User agent"),
        column("http_method", "STRING", "Method of the request, as a server logs it"),
        column("http_status", "INT", "Status of the answer, as a server logs it"),
        column("http_query", "STRING", "Query of the address asked for", grade="personal"),
        column(
            "referrer", "STRING", "Address that the visitor is said to come from", grade="personal"
        ),
        column(
            "invalid_reason",
            "STRING",
            "Why its source says that it is no valid traffic; silver.event_traffic has all reasons",
        ),
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
