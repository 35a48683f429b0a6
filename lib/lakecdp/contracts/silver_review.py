"""silver.review: reviews and ratings of products."""

from lakecdp.contracts.table import (
    ARRIVED,
    IDENTIFIERS_TYPE,
    OUTLIERS,
    REPAIRS,
    TableContract,
    column,
)

CONTRACT = TableContract(
    name="silver.review",
    grain="one row per review",
    owner="02_silver/conform",
    key=(
        "review_date",
        "review_id",
    ),
    cluster_by=("review_date",),
    prune_by="review_date",
    columns=(
        column("review_date", "DATE", "Day of the review (UTC)", required=True),
        column(
            "review_id", "STRING", "Id given by the source, or a hash of the content", required=True
        ),
        column("reviewed_at", "TIMESTAMP", "When it was written (UTC)", required=True),
        column("source", "STRING", "Source that delivered it", required=True),
        column("channel", "STRING", "web, app, marketplace ...", required=True),
        column(
            "identifiers",
            IDENTIFIERS_TYPE,
            "Identifiers the record came with, strongest first",
            required=True,
        ),
        column("owner_node", "BIGINT", "Strongest identifier of the record; null when it has none"),
        column("product_id", "STRING", "Product concerned"),
        column("order_id", "STRING", "Order concerned"),
        column("rating", "DECIMAL(9,3)", "Rating, on the scale of the source"),
        column("rating_max", "DECIMAL(9,3)", "Highest rating of that scale"),
        column("title", "STRING", "Title"),
        column("text", "STRING", "What was written", grade="personal"),
        column("helpful", "INT", "How many found it helpful"),
        column("properties", "VARIANT", "Everything else the source delivered", grade="personal"),
        REPAIRS,
        OUTLIERS,
        column(
            "_version_at", "TIMESTAMP", "Last one wins: the record's own time of change (lineage)"
        ),
        column("_content", "BIGINT", "Hash of the record's content; breaks ties (lineage)"),
        ARRIVED,
    ),
)
