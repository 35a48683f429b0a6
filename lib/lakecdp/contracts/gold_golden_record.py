"""gold.golden_record: the value taken for each attribute of a customer, and where it is from."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="gold.golden_record",
    grain="one row per customer and attribute of which a usable value is stated",
    owner="03_identity/golden",
    key=("customer_id", "attribute"),
    cluster_by=("customer_id",),
    notes="The rules are in conf/golden.yaml. A statement is usable when it can be read as the type of "
    "the attribute, is no junk and not too old.",
    columns=(
        column("customer_id", "BIGINT", "Customer", required=True),
        column(
            "attribute",
            "STRING",
            "Attribute: gender, birthday, city, region, level, registered_on ...",
            required=True,
        ),
        column(
            "value",
            "STRING",
            "The value in its one form (dates as yyyy-MM-dd; gender as female, male, other)",
            grade="personal",
            required=True,
        ),
        column("source", "STRING", "Source of the statement taken", required=True),
        column("node_id", "BIGINT", "Identifier of whom it is stated", required=True),
        column("observed_at", "TIMESTAMP", "When it was true (UTC)", required=True),
        column(
            "rule",
            "STRING",
            "What decided: only value, source, recency, identifier, agreement n of m sources or "
            "identifiers, tie",
            required=True,
        ),
        column("candidates", "INT", "Usable statements", required=True),
        column("agreeing", "INT", "Those of them that state this value", required=True),
        column(
            "alternatives",
            "ARRAY<STRUCT<value: STRING, source: STRING, observed_at: TIMESTAMP>>",
            "Up to five other values, best first, each with its best statement",
            grade="personal",
            required=True,
        ),
    ),
)
