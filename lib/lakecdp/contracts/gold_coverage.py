"""gold.coverage: what arrived against what was expected."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="gold.coverage",
    grain="one row per day, source, channel, event and basis of what is expected",
    owner="08_measurement/coverage",
    key=("day", "source", "channel", "event", "basis"),
    cluster_by=("day",),
    prune_by="day",
    columns=(
        column(
            "day",
            "DATE",
            "Day of events and orders (UTC); day that a file stands for",
            required=True,
        ),
        column("source", "STRING", "Source that should deliver", required=True),
        column("channel", "STRING", "app, web, store ...", required=True),
        column(
            "event",
            "STRING",
            "Event in GA4 names; all where the basis does not tell events apart",
            required=True,
        ),
        column(
            "basis",
            "STRING",
            "How it is known what to expect: sequence, orders, control_totals; none: it is not",
            required=True,
        ),
        column("expected", "BIGINT", "Records expected; null where that is not known"),
        column("arrived", "BIGINT", "Records that arrived", required=True),
        column("missing", "BIGINT", "Records expected that did not arrive"),
        column(
            "share", "DECIMAL(9,6)", "Records expected that arrived, as a share of all expected"
        ),
        column("expected_amount", "DECIMAL(28,4)", "Sum of amounts by control totals, in currency"),
        column("arrived_amount", "DECIMAL(28,4)", "Sum of the amounts that arrived, in currency"),
        column(
            "amount_difference",
            "DECIMAL(28,4)",
            "Differences of both by file, added up without their signs, in currency",
        ),
    ),
)
