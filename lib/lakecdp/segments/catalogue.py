"""Segmentations: conf/segments/*.yaml as checked objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lakecdp.contracts.table import Grade
from lakecdp.platform import yamlfile
from lakecdp.platform.errors import ConfigError
from lakecdp.platform.settings import Conf
from lakecdp.platform.yamlfile import Document
from lakecdp.tags.catalogue import Names, Status, Strict

SCORES = 5
"""A score is 1 (worst) to 5 (best)."""

Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Score(Strict):
    """A number from 1 to 5 by which segments can be told apart."""

    value: str = Field(min_length=1, description="Spark SQL expression that gives a number")
    best: Literal["highest", "lowest"]
    thresholds: tuple[Decimal, Decimal, Decimal, Decimal] | None = Field(
        None, description="Four rising limits; without them the population is cut in fifths"
    )

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.thresholds and any(
            a >= b for a, b in zip(self.thresholds, self.thresholds[1:], strict=False)
        ):
            raise ValueError("thresholds must rise from one to the next")
        return self


class Segment(Strict):
    """One segment and who belongs to it."""

    segment: Word
    name: Names
    when: str | None = Field(None, description="Condition; only the last segment may go without")


class Segmentation(Strict):
    """Ordered conditions: a customer is in the first segment whose condition holds."""

    segmentation: Word
    name: Names
    description: str = ""
    owner: str = Field(min_length=1)
    version: int = Field(ge=1)
    status: Status = "draft"
    sensitivity: Grade = "internal"
    population: str | None = Field(None, description="Who is judged; null: every customer")
    scores: dict[Word, Score] = Field(default_factory=dict)
    detail: str | None = Field(None, description="Expression that says what decided it")
    segments: tuple[Segment, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        names = [s.segment for s in self.segments]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"the segment `{twice[0]}` stands twice in `segments`")
        early = next((s.segment for s in self.segments[:-1] if s.when is None), None)
        if early:
            raise ValueError(f"`{early}` has no `when`, so the segments after it would stay empty")
        return self


@dataclass(frozen=True)
class Entry:
    """A segmentation with the file that defines it."""

    rules: Segmentation
    document: Document


@dataclass(frozen=True)
class Segmentations:
    """All segmentations in order of name."""

    entries: Sequence[Entry]

    @property
    def active(self) -> list[Segmentation]:
        """The segmentations in force."""
        return [e.rules for e in self.entries if e.rules.status == "active"]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides who is in which segment."""
        decides = {"segmentation", "population", "scores", "detail", "segments"}
        parts = [s.model_dump(mode="json", include=decides) for s in self.active]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def load(conf: Conf) -> Segmentations:
    """Read conf/segments/*.yaml; the expressions are checked by `engine.check`.

    Raises:
        ConfigError: a wrong key or value, or a segmentation defined twice or not at all.
    """
    found: dict[str, Entry] = {}
    for path in conf.folder("segments"):
        document = yamlfile.load(path)
        rules = yamlfile.parse(document, Segmentation)
        name = rules.segmentation
        if name in found:
            other = found[name].document.path
            message = f"the segmentation `{name}` is also defined in {other}"
            raise document.error(message, "segmentation")
        found[name] = Entry(rules, document)
    segmentations = Segmentations([found[k] for k in sorted(found)])
    if not segmentations.active:
        raise ConfigError("no segmentation has the status `active`", "segments")
    return segmentations
