"""silver.attribute: what sources state of a customer, attribute by attribute."""

from lakecdp.contracts.table import (
    ARRIVED,
    IDENTIFIERS_TYPE,
    OUTLIERS,
    REPAIRS,
    TableContract,
    column,
)

CONTRACT = TableContract(
    name="silver.attribute",
    grain="one row per source, identifier and attribute: the value stated last",
    owner="02_silver/conform",
    key=("owner_node", "name", "source"),
    cluster_by=("owner_node",),
    columns=(
        column("owner_node", "BIGINT", "Identifier of whom it is stated", required=True),
        column(
            "name",
            "STRING",
            "Attribute: gender, birthday, city, region, level, registered_on ...",
            required=True,
        ),
        column("source", "STRING", "Source that states it", required=True),
        column(
            "value",
            "STRING",
            "The value as text (dates as yyyy-MM-dd)",
            grade="personal",
            required=True,
        ),
        column("observed_at", "TIMESTAMP", "When it was true (UTC)", required=True),
        column(
            "identifiers",
            IDENTIFIERS_TYPE,
            "Identifiers the record came with, strongest first",
            required=True,
        ),
        REPAIRS,
        OUTLIERS,
        column(
            "_version_at", "TIMESTAMP", "Last one wins: the record's own time of change (lineage)"
        ),
        column("_content", "BIGINT", "Hash of the record's content; breaks ties (lineage)"),
        ARRIVED,
    ),
)
