"""What several Spark tests need: running a job file, and rows as plain tuples."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame

from lakecdp.pipeline import JobSpec
from lakecdp.platform.job import Job
from lakecdp.platform.part import Summary
from lakecdp.runner import load_job


def run(job: Job, name: str) -> list[Summary]:
    """Run one job file and return what its batches did; failures of sources add to the job's."""
    this = job.named(name)
    load_job(JobSpec(name, ""))(this)
    job.ledger.flush()
    job.failures += this.failures
    job.notes += this.notes
    return this.summaries


def rows(frame: DataFrame, *columns: str) -> list[tuple]:
    """Chosen columns of a frame, in order."""
    return sorted((tuple(r) for r in frame.select(*columns).collect()), key=repr)


def overlay(folder: Path, **sources: str) -> Path:
    """A folder of configuration with these source mappings."""
    (folder / "sources").mkdir(parents=True, exist_ok=True)
    for name, text in sources.items():
        (folder / "sources" / f"{name}.yaml").write_text(text)
    names = ", ".join(sources)
    settings = f"currency: EUR\nphone_region: DE\nsources: [{names}]\nhash: {{key: test}}\n"
    (folder / "demo.yaml").write_text(settings)
    return folder
