"""operations.run: the run ledger; its last row says what is published."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="operations.run",
    grain="one row per batch of a job and part of it, such as a source",
    owner="platform/ledger",
    key=("run_seq", "unit"),
    cluster_by=(),
    columns=(
        column("run_seq", "BIGINT", "Number of the batch, in order of start", required=True),
        column("run_id", "STRING", "Run that the batch belongs to", required=True),
        column("job", "STRING", "Job, as a path below jobs/", required=True),
        column(
            "unit",
            "STRING",
            "Part of the job, such as the source; empty when it has one part",
            required=True,
        ),
        column("run_date", "DATE", "Date the run stands for", required=True),
        column("started_at", "TIMESTAMP", "Start (UTC)", required=True),
        column("finished_at", "TIMESTAMP", "End (UTC): the order of publication", required=True),
        column("seconds", "DECIMAL(12,3)", "Duration of the batch", required=True),
        column("outcome", "STRING", "published, unchanged, warned or failed", required=True),
        column("rows_in", "BIGINT", "Rows taken in"),
        column("rows_out", "BIGINT", "Rows written"),
        column(
            "rows_duplicate",
            "BIGINT",
            "Rows that were there already, or superseded within the batch",
        ),
        column("rows_quarantined", "BIGINT", "Rows refused"),
        column(
            "balance",
            "ARRAY<STRUCT<target: STRING, rows_in: BIGINT, rows_out: BIGINT, "
            "rows_duplicate: BIGINT, rows_quarantined: BIGINT>>",
            "The same by target table",
        ),
        column(
            "versions", "MAP<STRING, BIGINT>", "Table versions that this batch wrote", required=True
        ),
        column(
            "published",
            "MAP<STRING, BIGINT>",
            "All table versions published once this batch was done",
            required=True,
        ),
        column(
            "state",
            "MAP<STRING, STRING>",
            "What each job has consumed so far (JSON by job and unit)",
            required=True,
        ),
        column("gates", "STRING", "Expectations that did not hold (JSON)"),
        column("code_version", "STRING", "Version of lakecdp", required=True),
        column("message", "STRING", "What went wrong, in one sentence"),
        column(
            "applied",
            "ARRAY<STRUCT<target: STRING, kind: STRING, rule: STRING, rows: BIGINT>>",
            "Rows taken in that a rule of conf/repairs.yaml repaired (kind repair) or flagged (outlier)",
        ),
        column(
            "amounts",
            "ARRAY<STRUCT<target: STRING, currency: STRING, amount_in: DECIMAL(38,4), "
            "amount_out: DECIMAL(38,4), amount_duplicate: DECIMAL(38,4), "
            "amount_quarantined: DECIMAL(38,4)>>",
            "What the records of a source amount to by target table: as given, as written (read back), of "
            "duplicates, refused. Currency is null when they are of several; then numbers are added up",
        ),
    ),
)
