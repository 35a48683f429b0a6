"""Where report pages lie: a folder beside the lake, or any place that Hadoop can write to."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lakecdp.platform.errors import LakecdpError
from lakecdp.platform.fs import exists, hadoop_path, java_message
from lakecdp.platform.job import Job
from lakecdp.platform.settings import Settings

LATEST = "latest.html"


def folder(settings: Settings) -> str:
    """The folder of report pages: as set, or `reports` beside the lake."""
    if settings.reports:
        return settings.reports.rstrip("/")
    lake = str(settings.lake).rstrip("/")
    scheme, mark, path = lake.rpartition("://")
    above, slash, _ = path.rpartition("/")
    if mark and not slash:
        return f"{lake}/reports"
    return f"{scheme}{mark}{above}{slash}reports"


def file_name(company: str, run_date: date) -> str:
    """Name of the page of a run date: `lotus-lamb-2026-11-01.html`."""
    words = re.sub(r"[\W_]+", "-", company.lower()).strip("-")
    return f"{words or 'company'}-{run_date}.html"


@dataclass(frozen=True)
class Shelf:
    """The place of one run date's page.

    Attributes:
        spark: the session.
        folder: folder or URI.
        name: file name of the page.
    """

    spark: SparkSession
    folder: str
    name: str

    @classmethod
    def of(cls, job: Job) -> Shelf:
        """The place of the page that a job writes."""
        name = file_name(job.settings.company, job.run_date)
        return cls(job.spark, folder(job.settings), name)

    @property
    def page(self) -> str:
        """Path or URI of the page."""
        return f"{self.folder}/{self.name}"

    def complete(self) -> bool:
        """Whether the page and `latest.html` are there."""
        return all(exists(self.spark, f"{self.folder}/{n}") for n in (self.name, LATEST))

    def put(self, text: str) -> None:
        """Write the page under its own name and as `latest.html`.

        Raises:
            LakecdpError: the folder cannot be written to.
        """
        for name in (self.name, LATEST):
            uri = f"{self.folder}/{name}"
            try:
                _write(self.spark, uri, text.encode())
            except Exception as e:
                raise LakecdpError(
                    f"The report cannot be written to {uri}: {java_message(e)}"
                ) from None


def _write(spark: SparkSession, uri: str, data: bytes) -> None:
    fs, path = hadoop_path(spark, uri)
    if fs.getScheme() == "file":
        # Hadoop's local file system would leave a checksum file beside each page.
        _write_local(Path(fs.makeQualified(path).toUri().getPath()), data)
        return
    stream: Any = fs.create(path, True)
    try:
        stream.write(data)
    finally:
        stream.close()


def _write_local(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.part")
    draft.write_bytes(data)
    os.replace(draft, target)  # noqa: PTH105
