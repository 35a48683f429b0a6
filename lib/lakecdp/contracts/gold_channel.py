"""gold.channel: channels declared, and channels seen."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="gold.channel",
    grain="one row per channel that is declared, has a source in use, or was seen in events or orders",
    owner="08_measurement/coverage",
    key=("channel",),
    columns=(
        column("channel", "STRING", "Channel", required=True),
        column("kind", "STRING", "online, offline or other; undeclared", required=True),
        column("description", "STRING", "What it is"),
        column("target", "DECIMAL(9,6)", "Share of what is expected that is to arrive"),
        column("declared", "BOOLEAN", "Whether conf/channels.yaml names it", required=True),
        column("connected", "BOOLEAN", "Whether data of it has arrived", required=True),
        column(
            "sources", "ARRAY<STRING>", "Sources that deliver it, in order of name", required=True
        ),
        column("first_day", "DATE", "First day of its events, orders or files"),
        column("last_day", "DATE", "Last day of them"),
    ),
)
