"""silver.event_traffic: which events are no valid traffic, and why."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="silver.event_traffic",
    grain="one row per event that is flagged",
    owner="02_silver/flag_traffic",
    key=("event_date", "event_id"),
    cluster_by=("event_date",),
    prune_by="event_date",
    notes="An event without a row is valid. Flagged events stay in silver.event; sessions, features and link "
    "rates leave out the invalid ones. docs/concepts/invalid-traffic.md explains the reasons, conf/traffic.yaml "
    "sets them.",
    columns=(
        column("event_date", "DATE", "Day of the event (UTC)", required=True),
        column("event_id", "STRING", "The event", required=True),
        column("source", "STRING", "Source that delivered it", required=True),
        column("channel", "STRING", "app, web, mini_program, store ...", required=True),
        column(
            "kind",
            "STRING",
            "invalid: no person did it; not_effective: a person did, but too briefly to count as a view",
            required=True,
        ),
        column(
            "reasons",
            "ARRAY<STRING>",
            "stated, crawler, no_agent, scanner, rate, bogon, datacentre, many_accounts, short_view",
            required=True,
        ),
        column(
            "evidence",
            "ARRAY<STRING>",
            "What shows it, for each reason in their order: name of the crawler, network, probe or limit",
            required=True,
        ),
    ),
)
