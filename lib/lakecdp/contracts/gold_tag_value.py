"""gold.tag_value: tags of customers, with history."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="gold.tag_value",
    grain="one row per customer, tag and period in which it had one value",
    owner="04_tags/tag",
    key=("customer_id", "tag", "valid_from"),
    cluster_by=("tag", "customer_id"),
    columns=(
        column("customer_id", "BIGINT", "Customer", required=True),
        column("tag", "STRING", "Tag of conf/tags", required=True),
        column(
            "value", "STRING", "Value; unknown is said as unknown", grade="personal", required=True
        ),
        column("valid_from", "DATE", "First run date with the value", required=True),
        column("valid_to", "DATE", "First run date with another value; null while it lasts"),
    ),
)
