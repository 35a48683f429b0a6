"""The job graph as data: the local runner, Airflow and the tests read it.

Only the standard library is imported here, so that Airflow can read the graph in an environment
that has neither Spark nor lakecdp's other dependencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class JobSpec:
    """One job of the pipeline.

    Attributes:
        name: path below jobs/ without `.py`.
        does: what it does, for the progress display.
        after: the jobs whose tables it reads.
    """

    name: str
    does: str
    after: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        """The numbered folder."""
        return self.name.split("/")[0]

    @property
    def task(self) -> str:
        """The name without its folder; also the Airflow task."""
        return self.name.split("/")[1]


DAILY: tuple[JobSpec, ...] = (
    JobSpec("01_bronze/ingest", "land new files"),
    JobSpec("02_silver/conform", "conform records", ("01_bronze/ingest",)),
    JobSpec("02_silver/flag_traffic", "flag invalid traffic", ("02_silver/conform",)),
    JobSpec("02_silver/sessionize", "put events into sessions", ("02_silver/flag_traffic",)),
    JobSpec("02_silver/assemble", "assemble orders", ("02_silver/conform",)),
    JobSpec("03_identity/match", "link records without keys", ("02_silver/conform",)),
    JobSpec(
        "03_identity/resolve", "resolve identities", ("02_silver/conform", "03_identity/match")
    ),
    JobSpec("03_identity/golden", "choose golden records", ("03_identity/resolve",)),
    JobSpec(
        "04_tags/features",
        "compute features",
        ("02_silver/sessionize", "02_silver/assemble", "03_identity/golden"),
    ),
    JobSpec("04_tags/tag", "tag customers", ("04_tags/features",)),
    JobSpec("05_segments/segment", "segment customers", ("04_tags/features",)),
    JobSpec("06_models/train_churn", "train the churn model when due", ("04_tags/features",)),
    JobSpec("06_models/review_churn", "review the churn model", ("06_models/train_churn",)),
    JobSpec("06_models/score_churn", "score customers", ("06_models/review_churn",)),
    JobSpec("08_measurement/coverage", "measure coverage", ("02_silver/conform",)),
    JobSpec(
        "08_measurement/report",
        "write the report",
        (
            "04_tags/tag",
            "05_segments/segment",
            "06_models/score_churn",
            "08_measurement/coverage",
        ),
    ),
    JobSpec("09_operations/monitor", "look for anomalies", ("08_measurement/report",)),
)
"""The daily run in an order that respects `after`."""


def between(first: str | None, last: str | None) -> tuple[JobSpec, ...]:
    """The jobs from one to another, both included.

    Args:
        first: a job (`02_silver/conform` or `conform`) or stage (`02_silver`); None: the start.
        last: likewise; None: the end.

    Raises:
        ValueError: no such job or stage, or `last` comes before `first`.
    """
    start = 0 if first is None else _places(first)[0]
    end = len(DAILY) - 1 if last is None else _places(last)[-1]
    if end < start:
        raise ValueError(f"{last} comes before {first}")
    return DAILY[start : end + 1]


def _places(name: str) -> Sequence[int]:
    found = [i for i, j in enumerate(DAILY) if name in (j.name, j.task, j.stage)]
    if not found:
        names = ", ".join(j.name for j in DAILY)
        raise ValueError(f"there is no job or stage `{name}`; the jobs are {names}")
    return found
