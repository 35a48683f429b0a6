"""Data Docs of the lake: what every table is held to, and what its last gate found."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from lakecdp.bronze.mapping import Source, SourceMapping, load_sources
from lakecdp.platform import quality
from lakecdp.platform.job import Job
from lakecdp.silver.inspection import guarded

FREE_TEXT = frozenset({"reason", "file"})
"""Columns that quote records: their values are shown nowhere."""


def build(job: Job, folder: Path) -> Path:
    """Write the site.

    No value of a column is on it that is graded personal or sensitive, or that a mapping in use makes
    of a personal column or of an identifier, or that quotes a record, whatever the table.

    Args:
        job: any job on the lake.
        folder: where the site goes.

    Returns:
        its first page.
    """
    hidden = personal_names(load_sources(job.conf, job.settings)) | FREE_TEXT
    return quality.data_docs(job, folder, hidden)


def personal_names(sources: Iterable[Source]) -> frozenset[str]:
    """Names of silver columns that a mapping makes of what concerns a person."""
    return frozenset(name for s in sources for name in _made_of_personal(s.mapping, guarded(s)))


def _made_of_personal(mapping: SourceMapping, graded: Iterable[str]) -> Iterable[str]:
    known = set(graded)
    for name, text in mapping.let.items():
        if _reads(text, known):
            known.add(name)
    for target in mapping.targets:
        inner = known | ({"item"} if target.explode and _reads(target.explode, known) else set())
        yield from (c for c, text in target.columns.items() if _reads(text, inner))


def _reads(text: str, names: Iterable[str]) -> bool:
    """Whether an expression names one of some columns; rather too often than too seldom."""
    return any(re.search(rf"(?<![\w]){re.escape(n)}(?![\w])", text, re.I) for n in names)
