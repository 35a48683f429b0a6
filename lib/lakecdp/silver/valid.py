"""Which events count as behaviour of persons."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

KEY = ["event_date", "event_id"]
INVALID = "invalid"
REQUEST, FILE = "request", "file_request"
"""Names of events that are requests to a server, of files if so, and nothing that a person did."""


def valid(events: DataFrame, traffic: DataFrame) -> DataFrame:
    """Events that count: neither invalid nor a mere request to a server.

    Args:
        events: silver.event.
        traffic: silver.event_traffic, at least of the days of the events.

    Returns:
        The rows of `events`.
    """
    flagged = traffic.where(F.col("kind") == INVALID).select(*KEY)
    counts = F.col("invalid_reason").isNull() & ~F.col("event_name").isin(REQUEST, FILE)
    return events.where(counts).join(flagged, KEY, "left_anti")
