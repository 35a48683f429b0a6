"""Gates of a batch, judged while the next table is written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame

from lakecdp.platform import quality
from lakecdp.platform.lake import Lake

Written = Callable[[Lake, str], DataFrame]

_ONE = threading.Lock()
"""Great Expectations keeps its context for the whole process: one gate at a time."""


class Judge:
    """Gates of a batch, one at a time, in a thread and a session of their own.

    Great Expectations spends most of its time in Python, while Spark is idle.
    """

    def __init__(self, lake: Lake):
        self._lake = lake
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lakecdp-gate")
        self._begun: dict[tuple[str, int], Future[Found]] = {}
        self._asking = threading.Lock()

    def begin(self, name: str, version: int, written: Written) -> None:
        """Judge what was written to a table up to a version, some time soon."""
        with self._asking:
            if (name, version) not in self._begun:
                self._begun[name, version] = self._thread.submit(self._gate, name, written)

    def _gate(self, name: str, written: Written) -> Found:
        found = Found()
        lake = self._lake.apart()
        try:
            with _ONE:
                quality.gate(found, name, written(lake, name))
        except Exception as e:
            found.error = e
        return found

    def result(self, name: str, version: int, written: Written) -> Found:
        """What the gate says of a version."""
        self.begin(name, version, written)
        return self._begun[name, version].result()

    def close(self) -> None:
        """Wait for what is being judged, and forget what is not."""
        self._thread.shutdown(cancel_futures=True)


@dataclass
class Found:
    """What one gate found, before it is known whether it counts."""

    gate_results: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None

    @property
    def sentence(self) -> str | None:
        """The first expectation that does not hold, in words."""
        return next((str(f["sentence"]) for g in self.gate_results for f in g["failed"]), None)
