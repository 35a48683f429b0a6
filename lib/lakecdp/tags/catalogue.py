"""The tag catalogue: conf/tags/*.yaml as checked objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lakecdp.contracts.table import Grade
from lakecdp.platform import yamlfile
from lakecdp.platform.errors import ConfigError
from lakecdp.platform.settings import Conf
from lakecdp.platform.yamlfile import Document

UNKNOWN = "unknown"
"""Value of a tag of which nothing is known."""

TagName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Status = Literal["draft", "active", "retired"]


class Strict(BaseModel):
    """A part of a rule file: no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Names(Strict):
    """What people call it."""

    en: str = Field(min_length=1)
    zh: str = Field(min_length=1)


class Tag(Strict):
    """One tag: its rule and what its readers must know of it."""

    name: Names
    description: str = ""
    level: Literal["base", "behaviour", "preference", "value", "attitude"]
    owner: str = Field(min_length=1, description="Who answers for it")
    version: int = Field(ge=1)
    status: Status = "draft"
    cadence: Literal["hourly", "daily", "weekly", "monthly"] = Field(
        "daily",
        description="How old a value may be at most; every run of the job computes all tags",
    )
    ttl_days: int | None = Field(
        None, ge=1, description="Days without activity after which the value is unknown"
    )
    sensitivity: Grade = "internal"
    values: tuple[str, ...] | None = Field(
        None, min_length=1, description="Allowed values; any other counts as unknown"
    )
    rule: str = Field(min_length=1, description="Spark SQL expression over gold.customer_feature")

    @field_validator("values", mode="before")
    @classmethod
    def _texts(cls, given: object) -> object:
        """YAML reads yes, no and 1 as other things than texts."""
        if isinstance(given, list):
            wrong = [v for v in given if not isinstance(v, str)]
            if wrong:
                raise ValueError(f"{wrong[0]!r} is no text; put it in quotes")
            if len(set(given)) < len(given):
                raise ValueError("a value is listed twice")
        return given


class TagFile(Strict):
    """One file of conf/tags."""

    tags: dict[TagName, Tag] = Field(min_length=1)


@dataclass(frozen=True)
class Entry:
    """A tag with the place where it is defined."""

    key: str
    tag: Tag
    document: Document

    def place(self, field: str) -> tuple[str, str, str]:
        """Where a field of it stands in the file."""
        return ("tags", self.key, field)


@dataclass(frozen=True)
class Catalogue:
    """All tags in order of name."""

    entries: Sequence[Entry]

    @cached_property
    def active(self) -> list[Entry]:
        """The tags in force."""
        return [e for e in self.entries if e.tag.status == "active"]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides values: names, rules, time to live and allowed values."""
        parts = [[e.key, e.tag.rule, e.tag.ttl_days, e.tag.values] for e in self.active]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


RESERVED = ("customer_id", "completeness")


def load(conf: Conf) -> Catalogue:
    """Read conf/tags/*.yaml; the rules themselves are checked by `engine.check`.

    Raises:
        ConfigError: a wrong key or value, a tag defined twice, or no active tag at all.
    """
    found: dict[str, Entry] = {}
    for path in conf.folder("tags"):
        document = yamlfile.load(path)
        for key, tag in yamlfile.parse(document, TagFile).tags.items():
            if key in RESERVED:
                raise document.error(
                    f"`{key}` is a column of gold.tag_matrix and no tag", "tags", key
                )
            if key in found:
                other = found[key].document
                where = f"{other.path}:{other.line(('tags', key))}"
                raise document.error(f"the tag `{key}` is also defined in {where}", "tags", key)
            found[key] = Entry(key, tag, document)
    catalogue = Catalogue([found[k] for k in sorted(found)])
    if not catalogue.active:
        raise ConfigError("no tag has the status `active`", "tags")
    return catalogue
