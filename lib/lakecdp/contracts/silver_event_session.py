"""silver.event_session: the session of an event, and whose it is."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="silver.event_session",
    grain="one row per valid event that has a visitor",
    owner="02_silver/sessionize",
    key=("event_date", "event_id"),
    cluster_by=("event_date",),
    prune_by="event_date",
    notes="Invalid events (silver.event_traffic) and those without identifier and session hint "
    "belong to no session. docs/concepts/sessions.md says who owns an event.",
    columns=(
        column("event_date", "DATE", "Day of the event (UTC)", required=True),
        column("event_id", "STRING", "The event", required=True),
        column(
            "session_date", "DATE", "Day of the first event of its session (UTC)", required=True
        ),
        column("session_id", "BIGINT", "Its session", required=True),
        column("owner_node", "BIGINT", "Identifier that owns the event; null when there is none"),
        column(
            "inherited",
            "BOOLEAN",
            "Whether the owner is known from the session, not from the event itself",
            required=True,
        ),
    ),
)
