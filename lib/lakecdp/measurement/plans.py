"""Tracking plans: conf/tracking/*.yaml as checked objects."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pyspark.sql import DataFrame

from lakecdp.bronze.mapping import Source
from lakecdp.platform import yamlfile
from lakecdp.platform.settings import Conf
from lakecdp.silver.canonical import tried
from lakecdp.silver.typed import typed

FOLDER = "tracking"
_PATH = re.compile(r"\$(\.[A-Za-z_$][\w$]*|\['[^'\\]+'\])*")
Kind = Literal["string", "integer", "number", "boolean", "array", "object", "time", "any"]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Property(_Strict):
    """A property that an event may carry."""

    type: Kind = Field(
        "any", description="What its value is in JSON; time: as JSON has none, a text"
    )
    required: bool = Field(False, description="Each record of the event must have it")
    description: str = ""


class PlannedEvent(_Strict):
    """An event that the source sends."""

    description: str = ""
    properties: dict[Name, Property] = Field(default_factory=dict)

    @field_validator("properties", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return _properties(value)


def _properties(value: Any) -> Any:
    """Properties with their type alone, or with more."""
    if isinstance(value, dict):
        return {k: {"type": v} if isinstance(v, str) else v or {} for k, v in value.items()}
    return value


class TrackingPlan(_Strict):
    """What one source sends: events with their properties."""

    plan: str = Field(pattern=r"^[a-z][a-z0-9_]{0,47}$", description="Name")
    version: int = Field(ge=1, description="Raised with every change")
    owner: str = Field(min_length=1, description="Who answers for it")
    description: str = ""
    source: str = Field(description="Source whose records are held against it")
    event: str = Field(description="Name of the event, over the columns of the source")
    time: str = Field(description="When it happened, over the columns of the source")
    app_version: str | None = Field(
        None, description="Version of the app, over the columns of the source"
    )
    where: str | None = Field(None, description="Which records; default: all with event and time")
    properties: str = Field("$.properties", description="JSON path of the object of properties")
    common: dict[Name, Property] = Field(
        default_factory=dict, description="Properties that every event may carry"
    )
    events: dict[Name, PlannedEvent] = Field(min_length=1)

    @field_validator("common", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return _properties(value)

    @field_validator("properties")
    @classmethod
    def _path(cls, value: str) -> str:
        if not _PATH.fullmatch(value):
            raise ValueError(f"{value!r} is no JSON path such as $.properties or $['a name']")
        return value

    def properties_of(self, event: str) -> dict[str, Property]:
        """Properties of an event, with those that every event may carry."""
        return {**self.common, **self.events[event].properties}

    def expressions(self) -> dict[str, str]:
        """Expressions over the columns of the source, by key."""
        keys = ("event", "time", "app_version", "where")
        return {k: v for k in keys if (v := getattr(self, k)) is not None}

    @property
    def fingerprint(self) -> str:
        """Changes when the same records may be judged otherwise."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Plan:
    """A tracking plan, the document it came from and the source it is about."""

    rules: TrackingPlan
    document: yamlfile.Document
    source: Source

    def check(self, empty_raw: DataFrame) -> None:
        """Analyse its expressions on no data.

        Raises:
            ConfigError: an expression is wrong, with file, line and the columns that exist.
        """
        frame = typed(empty_raw, self.source.mapping)
        for name, text in self.source.mapping.let.items():
            frame = tried(frame, self.source, text, "let", name)
        here = Source(self.source.mapping, self.document)
        for key, text in self.rules.expressions().items():
            tried(frame, here, text, key)


def load_plans(conf: Conf, sources: Sequence[Source]) -> list[Plan]:
    """The plans of the sources in use, in order of name.

    A plan that lakecdp ships for a source that is not in use counts for nothing.

    Raises:
        ConfigError: a plan is wrong, has the name of another, or is of a source not in use.
    """
    by_name: Mapping[str, Source] = {s.mapping.source: s for s in sources}
    found: dict[str, Plan] = {}
    for path in conf.folder(FOLDER):
        document = yamlfile.load(path)
        rules = yamlfile.parse(document, TrackingPlan)
        if rules.source not in by_name:
            if path.is_relative_to(conf.shipped):
                continue
            raise document.error(
                f"no source `{rules.source}` is in use; in use are {', '.join(by_name)}", "source"
            )
        if rules.plan in found:
            other = found[rules.plan].document.path
            raise document.error(f"the plan `{rules.plan}` is already defined in {other}", "plan")
        found[rules.plan] = Plan(rules, document, by_name[rules.source])
    return [found[n] for n in sorted(found)]
