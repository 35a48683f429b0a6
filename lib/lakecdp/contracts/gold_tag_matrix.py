"""gold.tag_matrix: all tags of a customer side by side."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="gold.tag_matrix",
    grain="one row per customer",
    owner="04_tags/tag",
    key=("customer_id",),
    cluster_by=("customer_id",),
    notes="Followed by one STRING column per active tag of conf/tags, named like the tag. The column "
    "of a tag that was retired stays, and is NULL.",
    columns=(
        column("customer_id", "BIGINT", "Customer", required=True),
        column(
            "completeness", "DECIMAL(5,4)", "Share of the tags whose value is known", required=True
        ),
    ),
)
