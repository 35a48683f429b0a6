"""identity.match: pairs of records that are probably one person."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="identity.match",
    grain="one row per linkage and pair of records that was ever worth a review",
    owner="03_identity/match",
    key=("linkage", "node_a", "node_b"),
    cluster_by=("node_a",),
    notes=(
        "Rows decided `link` are evidence for resolve, with their probability as weight. A pair that "
        "no longer reaches the review threshold stays as `withdrawn`, so that its evidence is taken back."
    ),
    columns=(
        column("linkage", "STRING", "Name of the file in conf/linkage", required=True),
        column("node_a", "BIGINT", "Owner of one record: the stronger type", required=True),
        column("node_b", "BIGINT", "Owner of the other one", required=True),
        column("type_a", "STRING", "Identifier type of node_a", required=True),
        column("type_b", "STRING", "Identifier type of node_b", required=True),
        column("source_a", "STRING", "Source of the record of node_a", required=True),
        column("source_b", "STRING", "Source of the record of node_b", required=True),
        column("probability", "DOUBLE", "That both are one person, 0 to 1", required=True),
        column("match_weight", "DOUBLE", "Logarithm (base 2) of the odds", required=True),
        column(
            "decision",
            "STRING",
            "link; review (a person should look); implied (other links join both already); beaten (a "
            "better pair has taken one of them); withdrawn",
            required=True,
        ),
        column(
            "evidence", "STRING", "Columns that speak for (+) and against (-), in bits of weight"
        ),
        column(
            "first_matched_at",
            "TIMESTAMP",
            "When it was first worth a review (arrival time, UTC)",
            required=True,
        ),
    ),
)
