"""gold.segment: segments of customers, with history."""

from lakecdp.contracts.table import TableContract, column

CONTRACT = TableContract(
    name="gold.segment",
    grain="one row per customer, segmentation and period in which it was in one segment",
    owner="05_segments/segment",
    key=("customer_id", "segmentation", "valid_from"),
    cluster_by=("segmentation", "customer_id"),
    columns=(
        column("customer_id", "BIGINT", "Customer", required=True),
        column("segmentation", "STRING", "rfm, lifecycle ... of conf/segments", required=True),
        column("segment", "STRING", "Segment", grade="personal", required=True),
        column("detail", "STRING", "What decided it on the day it began, such as R5 F4 M4"),
        column("valid_from", "DATE", "First run date in the segment", required=True),
        column("valid_to", "DATE", "First run date in another one; null while it lasts"),
    ),
)
