"""`conf/linkage/<name>.yaml`: which records are compared, by which columns, and what becomes of a pair."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lakecdp.identity.linkage import kinds
from lakecdp.identity.linkage.kinds import KindName
from lakecdp.platform import yamlfile
from lakecdp.platform.errors import ConfigError, UsageError
from lakecdp.platform.settings import Conf

FOLDER = "linkage"
AUTO = "auto"
_NAME = r"[a-z][a-z0-9_]*"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnRule(_Strict):
    """One column that is compared."""

    kind: KindName = Field(description="What the values are; chooses the comparison and the keys")
    attribute: str | None = Field(
        None, description="Attribute of silver.attribute, or column of a file; default: the name"
    )
    day_first: bool | None = Field(
        None, description="Dates: whether 03/04/2000 is the third of April; null: by the values"
    )

    @model_validator(mode="after")
    def _dates_only(self) -> ColumnRule:
        if self.day_first is not None and self.kind != "date":
            raise ValueError("`day_first` goes with the kind date only")
        return self


class Thresholds(_Strict):
    """What becomes of a pair, by its probability."""

    link: float = Field(0.7, gt=0, le=1, description="From here on a pair is a link")
    review: float = Field(0.2, gt=0, le=1, description="From here on a pair is shown to a reviewer")

    @model_validator(mode="after")
    def _ordered(self) -> Thresholds:
        if self.review > self.link:
            raise ValueError(f"`review` {self.review} is above `link` {self.link}")
        return self


class LinkageRules(_Strict):
    """One linkage."""

    name: str = Field("", exclude=True)
    description: str = ""
    sources: tuple[str, ...] | None = Field(None, description="Sources of records; null: all")
    types: tuple[str, ...] | None = Field(
        None, description="Only records owned by these types of identifier; null: all"
    )
    columns: Mapping[str, ColumnRule] = Field(min_length=1, description="Column: kind, or settings")
    pairs: Literal["within", "between", "all"] = Field(
        "all", description="Pairs of one source, of two sources, or both"
    )
    free_of_duplicates: Literal["auto"] | bool | tuple[str, ...] = Field(
        "auto", description="Sources that hold nobody twice: true is all, auto finds out"
    )
    thresholds: Thresholds = Thresholds()
    blocking: tuple[tuple[str, ...], ...] | None = Field(
        None, description="Keys that must agree, rule by rule; null: chosen from the records"
    )
    pairs_per_record: int = Field(
        15, ge=1, description="How many pairs are looked at for a record, on average, at most"
    )
    seed: int = Field(1, description="Of the random pairs in training")
    spark_above: int = Field(
        1_000_000, ge=0, description="With more records than this Spark computes, else DuckDB"
    )

    @field_validator("columns", mode="before")
    @classmethod
    def _short(cls, columns: Any) -> Any:
        if not isinstance(columns, dict):
            return columns
        return {n: {"kind": c} if isinstance(c, str) else c for n, c in columns.items()}

    @field_validator("columns")
    @classmethod
    def _named(cls, columns: Mapping[str, ColumnRule]) -> Mapping[str, ColumnRule]:
        for name in columns:
            if not re.fullmatch(_NAME, name):
                raise ValueError(f"{name!r} is no name for a column: use a-z, 0-9 and _")
        return columns

    @model_validator(mode="after")
    def _known_keys(self) -> LinkageRules:
        known = self.keys()
        for rule in self.blocking or ():
            for key in rule:
                if key not in known:
                    raise ValueError(
                        f"`blocking` names `{key}`; the keys are {', '.join(sorted(known))}"
                    )
        return self

    def fields(self, day_first: Mapping[str, bool] | None = None) -> tuple[kinds.Field, ...]:
        """The columns as the linkage sees them."""
        found = day_first or {}
        by_kind: dict[str, list[str]] = {}
        for name, rule in self.columns.items():
            by_kind.setdefault(rule.kind, []).append(name)
        out = []
        for name, rule in self.columns.items():
            near = [n for n in by_kind[rule.kind] if n != name]
            other = {"given_name": "surname", "surname": "given_name"}.get(rule.kind)
            near += by_kind.get(other, [])[:1] if other else []
            first = rule.day_first if rule.day_first is not None else found.get(name, True)
            siblings = tuple(f"v_{n}" for n in near)
            out.append(kinds.Field(f"v_{name}", rule.kind, siblings, first))
        return tuple(out)

    def keys(self) -> dict[str, tuple[str, str]]:
        """The keys that blocking may name: `column` or `column.key`, to field and key."""
        from lakecdp.identity.linkage.sql import Dialect

        out = {}
        for field in self.fields():
            for key in kinds.keys(Dialect(), field):
                name = field.name.removeprefix("v_")
                out[f"{name}.{key}" if key else name] = (field.name, key)
        return out

    def fingerprint(self) -> str:
        """Changes whenever the same records may be linked otherwise."""
        what = self.model_dump(mode="json", exclude={"description", "spark_above"})
        text = json.dumps(what, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load(path: Path) -> LinkageRules:
    """Read the rules of one linkage; its name is that of the file.

    Raises:
        ConfigError: a wrong key or value, with file and line.
    """
    name = path.stem
    if not re.fullmatch(_NAME, name):
        raise ConfigError(f"`{name}` is no name for a linkage: use a-z, 0-9 and _", path)
    rules = yamlfile.parse(yamlfile.load(path), LinkageRules)
    return rules.model_copy(update={"name": name})


def load_all(conf: Conf) -> tuple[LinkageRules, ...]:
    """All linkages in force, by name."""
    return tuple(load(p) for p in conf.folder(FOLDER))


def find(conf: Conf, name: str) -> LinkageRules:
    """The rules of one linkage.

    Raises:
        UsageError: there is no such linkage.
    """
    every = {r.name: r for r in load_all(conf)}
    if name not in every:
        there = ", ".join(every) or "none"
        raise UsageError(f"There is no linkage `{name}` in conf/{FOLDER}; there is: {there}.")
    return every[name]
