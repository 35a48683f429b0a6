"""silver.session: visits."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="silver.session",
    grain="one row per session: events of one visitor without a long pause",
    owner="02_silver/sessionize",
    key=("session_date", "session_id"),
    cluster_by=("session_date", "last_date"),
    prune_by="session_date",
    notes="Of valid events alone. docs/concepts/sessions.md says where a session ends.",
    columns=(
        column("session_date", "DATE", "Day of the first event (UTC)", required=True),
        column("session_id", "BIGINT", "Hash of visitor and first event", required=True),
        column(
            "visitor_node",
            "BIGINT",
            "Who is followed: the device, else the strongest identifier; or a hash of what the source "
            "states as a session",
            required=True,
        ),
        column("device_node", "BIGINT", "Strongest identifier that stands for a device"),
        column(
            "owner_node",
            "BIGINT",
            "Strongest identifier of a person seen in it, of several the first; null when there is none",
        ),
        column("has_login", "BOOLEAN", "Whether a person is known in it", required=True),
        column(
            "persons",
            "INT",
            "Different identifiers of the strongest type of a person; 2 or more: handed over",
            required=True,
        ),
        column("source", "STRING", "Source of the first event", required=True),
        column("channel", "STRING", "Channel of the first event", required=True),
        column("started_at", "TIMESTAMP", "First event (UTC)", required=True),
        column("ended_at", "TIMESTAMP", "Last event (UTC)", required=True),
        column("last_date", "DATE", "Day of the last event (UTC)", required=True),
        column(
            "seconds", "DECIMAL(18,3)", "From the first to the last event (seconds)", required=True
        ),
        column("events", "BIGINT", "Events", required=True),
        column("views", "BIGINT", "Product and page views", required=True),
        column(
            "effective_views", "BIGINT", "Those not known to have been too short", required=True
        ),
        column("searches", "BIGINT", "Searches", required=True),
        column("carts", "BIGINT", "Additions to the cart", required=True),
        column("checkouts", "BIGINT", "Checkouts begun", required=True),
        column("purchases", "BIGINT", "Purchases", required=True),
        column("orders", "BIGINT", "Different orders purchased", required=True),
        column("landing_page", "STRING", "First page or screen"),
        column("exit_page", "STRING", "Last page or screen"),
        column("campaign_source", "STRING", "What brought the visitor: site, application or list"),
        column("campaign_medium", "STRING", "What brought the visitor: kind of traffic"),
        column("campaign_name", "STRING", "What brought the visitor: name of the campaign"),
        column("device_model", "STRING", "Device model, as stated first"),
        column("os", "STRING", "Operating system, as stated first"),
        column("country", "STRING", "Country, as stated first"),
        column("region", "STRING", "Region or province, as stated first"),
    ),
)
