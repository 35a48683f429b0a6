"""silver.survey_answer: answers to surveys."""

from lakecdp.contracts.table import (
    ARRIVED,
    IDENTIFIERS_TYPE,
    OUTLIERS,
    REPAIRS,
    TableContract,
    column,
)

CONTRACT = TableContract(
    name="silver.survey_answer",
    grain="one row per question answered by one person",
    owner="02_silver/conform",
    key=(
        "answer_date",
        "answer_id",
    ),
    cluster_by=("answer_date",),
    prune_by="answer_date",
    columns=(
        column("answer_date", "DATE", "Day of the answer (UTC)", required=True),
        column(
            "answer_id", "STRING", "Response and question, or a hash of the content", required=True
        ),
        column("answered_at", "TIMESTAMP", "When it was given (UTC)", required=True),
        column("source", "STRING", "Source that delivered it", required=True),
        column("channel", "STRING", "email, sms, app ...", required=True),
        column(
            "identifiers",
            IDENTIFIERS_TYPE,
            "Identifiers the record came with, strongest first",
            required=True,
        ),
        column("owner_node", "BIGINT", "Strongest identifier of the record; null when it has none"),
        column("survey_id", "STRING", "Survey"),
        column("response_id", "STRING", "Form that the answer stands on"),
        column("question", "STRING", "Question", required=True),
        column("question_type", "STRING", "nps, csat, ces, choice, number or text"),
        column("score", "DECIMAL(9,3)", "Answer as a number, on the scale of the question"),
        column("score_max", "DECIMAL(9,3)", "Highest number of that scale"),
        column("answer", "STRING", "Answer as text", grade="personal"),
        column("order_id", "STRING", "Order concerned"),
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
