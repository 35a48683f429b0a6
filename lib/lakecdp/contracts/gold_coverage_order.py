"""gold.coverage_order: orders of the back office, and whether the front end told of them."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="gold.coverage_order",
    grain="one row per order of a source that the events of other sources are held against",
    owner="08_measurement/coverage",
    key=("source", "order_id"),
    cluster_by=("day",),
    columns=(
        column("source", "STRING", "Source that has every order", required=True),
        column("order_id", "STRING", "Order number", required=True),
        column("day", "DATE", "Day of the order (UTC)", required=True),
        column("channel", "STRING", "Channel of the order", required=True),
        column("event", "STRING", "Event that is expected for it", required=True),
        column("arrived", "BOOLEAN", "Whether that event has arrived", required=True),
    ),
)
