"""gold.tracking_plan: what is planned, and whether it was observed."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="gold.tracking_plan",
    grain="one row per plan, planned event and planned property of it",
    owner="08_measurement/coverage",
    key=("plan", "event", "property"),
    columns=(
        column("plan", "STRING", "Tracking plan", required=True),
        column("event", "STRING", "Event as the source calls it", required=True),
        column("property", "STRING", "Property; empty for the event itself", required=True),
        column("plan_version", "INT", "Version of the plan", required=True),
        column("owner", "STRING", "Who answers for the plan", required=True),
        column("type", "STRING", "Type of the property", required=True),
        column("required", "BOOLEAN", "Whether each record must have it", required=True),
        column("status", "STRING", "observed, or missing: planned and never seen", required=True),
        column("records", "BIGINT", "Records with it, copies included", required=True),
        column("first_day", "DATE", "First day with it (UTC)"),
        column("last_day", "DATE", "Last day with it (UTC)"),
    ),
)
