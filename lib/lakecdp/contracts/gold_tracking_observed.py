"""gold.tracking_observed: what a tracked source sends, day by day."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="gold.tracking_observed",
    grain="one row per plan, day, event, property, version of the app and kind of value",
    owner="08_measurement/coverage",
    key=("day", "plan", "event", "property", "app_version", "found"),
    cluster_by=("day",),
    prune_by="day",
    columns=(
        column("day", "DATE", "Day of the records (UTC)", required=True),
        column("plan", "STRING", "Tracking plan", required=True),
        column("event", "STRING", "Event as the source calls it", required=True),
        column("property", "STRING", "Property; empty for the event itself", required=True),
        column(
            "app_version",
            "STRING",
            "Version of the app; unknown where none is given",
            required=True,
        ),
        column(
            "found",
            "STRING",
            "string, integer, number, boolean, array, object, time, other; missing: a required property "
            "that the record lacks; record: the event itself",
            required=True,
        ),
        column("records", "BIGINT", "Records received, copies included", required=True),
        column("sample", "STRING", "File and line of one of them", required=True),
    ),
)
