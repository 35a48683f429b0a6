"""gold.score: what the models in force say of customers."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="gold.score",
    grain="one row per customer and model",
    owner="06_models/score_churn",
    key=("model", "customer_id"),
    cluster_by=("model", "customer_id"),
    columns=(
        column("customer_id", "BIGINT", "Customer", required=True),
        column("model", "STRING", "Model: churn ...", required=True),
        column("model_version", "STRING", "Version in the model registry", required=True),
        column("as_of", "DATE", "Last day that the features have seen", required=True),
        column(
            "score",
            "DOUBLE",
            "Probability of the outcome (0 to 1)",
            grade="personal",
            required=True,
        ),
        column("decile", "INT", "1 (highest scores) to 10", required=True),
        column(
            "reasons",
            "ARRAY<STRING>",
            "Main reasons, strongest first",
            grade="personal",
            required=True,
        ),
    ),
)
