"""silver.vacated_traffic: events that were flagged before."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="silver.vacated_traffic",
    grain="one row per event that is flagged no more, and batch",
    owner="02_silver/flag_traffic",
    key=(),
    cluster_by=("_batch",),
    notes="Lineage only: it tells 02_silver/sessionize which events to take in again.",
    columns=(
        column("event_date", "DATE", "Day of the event (UTC)", required=True),
        column("event_id", "STRING", "The event", required=True),
    ),
)
