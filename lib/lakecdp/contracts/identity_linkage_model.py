"""identity.linkage_model: what each linkage has learnt from the records."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="identity.linkage_model",
    grain="one row per linkage: the model in force",
    owner="03_identity/match",
    key=("linkage",),
    columns=(
        column("linkage", "STRING", "Name of the file in conf/linkage", required=True),
        column("rules", "STRING", "Fingerprint of the rules it was trained by", required=True),
        column("records", "BIGINT", "Records it was trained on", required=True),
        column("trained_at", "TIMESTAMP", "When (arrival time, UTC)", required=True),
        column(
            "model",
            "STRING",
            "JSON: shares by level, prior, rules of blocking, frequencies of hashed values",
            required=True,
        ),
    ),
)
