"""gold.coverage_stream: the sequence numbers that have arrived."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="gold.coverage_stream",
    grain="one row per source, channel, event, stream of numbers and day",
    owner="08_measurement/coverage",
    key=("day", "source", "channel", "event", "stream"),
    cluster_by=("day",),
    prune_by="day",
    columns=(
        column("day", "DATE", "Day of the records (UTC)", required=True),
        column("source", "STRING", "Source that numbers what it sends", required=True),
        column("channel", "STRING", "Channel", required=True),
        column(
            "event", "STRING", "Event where each has numbers of its own, else all", required=True
        ),
        column("stream", "BIGINT", "Hash of what is numbered: a device, a session", required=True),
        column(
            "numbers", "ARRAY<BIGINT>", "Numbers that arrived, in order, once each", required=True
        ),
    ),
)
