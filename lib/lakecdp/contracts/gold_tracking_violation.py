"""gold.tracking_violation: where what is sent is not what the plan says."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="gold.tracking_violation",
    grain="one row per plan, day, event, property, version of the app, kind of violation and value",
    owner="08_measurement/coverage",
    key=("day", "plan", "event", "property", "app_version", "violation", "found"),
    cluster_by=("day",),
    prune_by="day",
    columns=(
        column("day", "DATE", "Day of the records (UTC)", required=True),
        column("plan", "STRING", "Tracking plan", required=True),
        column("event", "STRING", "Event as the source calls it", required=True),
        column(
            "property",
            "STRING",
            "Property; empty where the event itself is concerned",
            required=True,
        ),
        column("app_version", "STRING", "Version of the app", required=True),
        column(
            "violation",
            "STRING",
            "undocumented_event, undocumented_property, missing_property or wrong_type",
            required=True,
        ),
        column("found", "STRING", "What stands there; see gold.tracking_observed", required=True),
        column("records", "BIGINT", "Records concerned, copies included", required=True),
        column("sample", "STRING", "File and line of one of them", required=True),
    ),
)
