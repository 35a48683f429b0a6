"""The rules of the golden record: conf/golden.yaml as checked objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lakecdp.bronze.mapping import load_source
from lakecdp.governance.identifiers import IdentityRules, Junk
from lakecdp.platform import yamlfile
from lakecdp.platform.settings import Conf
from lakecdp.platform.yamlfile import Document

RULES = "golden.yaml"
VERSION = "1"
"""Part of the fingerprint: raise it when the same rules choose otherwise."""

Criterion = Literal["source", "recency", "agreement", "identifier"]
Kind = Literal["text", "date", "number", "gender", "category"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]

GENDERS: Mapping[str, Sequence[str]] = {
    "female": ("f", "female", "w", "woman", "女", "女性", "女士"),
    "male": ("m", "male", "man", "男", "男性", "先生"),
    "other": ("other", "x", "diverse", "non-binary", "nonbinary", "其他"),
}
"""Words for a gender, in small letters."""

KNOWN: Mapping[str, Kind] = {"gender": "gender", "birthday": "date", "registered_on": "date"}
"""Attributes whose type tags and models count on."""


class Rule(BaseModel):
    """How the value of an attribute is chosen; what it leaves out is as in `default`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Kind | None = Field(default=None, description="How values are read and compared")
    by: tuple[Criterion, ...] | None = Field(
        default=None, min_length=1, description="Criteria, the first that tells values apart counts"
    )
    sources: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="For `source`: best first; others come last"
    )
    max_age_days: int | None = Field(
        default=None, ge=1, description="Values observed longer before the run date never win"
    )
    junk: Junk = Field(default=Junk(), description="Values that never win, besides the default's")
    values: dict[str, tuple[str, ...]] | None = Field(
        default=None, min_length=1, description="For `category`: value, and its other spellings"
    )


class GoldenFile(BaseModel):
    """`conf/golden.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    default: Rule = Rule(by=("recency",))
    attributes: dict[Name, Rule] = Field(default_factory=dict)


@dataclass(frozen=True)
class AttributeRule:
    """The whole rule of one attribute.

    Attributes:
        type: how values are read and compared.
        by: the criteria in order.
        sources: best first.
        max_age_days: None: however old.
        junk_values: in small letters.
        junk_patterns: regular expressions of the whole value.
        spellings: for words with a fixed list: spelling in small letters -> value.
    """

    type: Kind
    by: tuple[Criterion, ...]
    sources: tuple[str, ...]
    max_age_days: int | None
    junk_values: tuple[str, ...]
    junk_patterns: tuple[str, ...]
    spellings: Mapping[str, str]


@dataclass(frozen=True)
class GoldenRules:
    """The rules in force.

    Attributes:
        default: of every attribute that is not named.
        attributes: rules by name of the attribute.
        identifiers: types of identifiers, strongest first.
    """

    default: AttributeRule
    attributes: Mapping[str, AttributeRule]
    identifiers: tuple[str, ...]

    @property
    def every(self) -> list[AttributeRule]:
        """All rules, the default's last."""
        return [*self.attributes.values(), self.default]

    @property
    def ages(self) -> bool:
        """Whether the choice depends on the run date."""
        return any(r.max_age_days is not None for r in self.every)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides which value is chosen."""
        strength = self.identifiers if any("identifier" in r.by for r in self.every) else ()
        named = {n: asdict(r) for n, r in self.attributes.items()}
        parts = [VERSION, asdict(self.default), named, strength]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def load(conf: Conf) -> GoldenRules:
    """Read conf/golden.yaml.

    Raises:
        ConfigError: with file, line, what is wrong and what exists.
    """
    document = conf.document(RULES)
    given = yamlfile.parse(document, GoldenFile)
    names = given.attributes
    places: list[tuple[tuple[str, ...], Rule]] = [(("default",), given.default)]
    places += [(("attributes", n), r) for n, r in names.items()]
    known = _sources(conf) if any(r.sources for _, r in places) else ()
    for place, rule in places:
        _check_lists(document, place, rule, known)
    default = _whole(document, ("default",), given.default, Rule(by=("recency",)))
    attributes = {
        n: _whole(document, ("attributes", n), names.get(n, Rule()), given.default)
        for n in sorted({*names, *KNOWN})
    }
    return GoldenRules(default, attributes, IdentityRules.load(conf).names)


def _sources(conf: Conf) -> list[str]:
    return sorted(load_source(p).mapping.source for p in conf.folder("sources"))


def _check_lists(
    document: Document, place: tuple[str, ...], rule: Rule, known: Collection[str]
) -> None:
    """Refuse sources that do not exist, and whatever is listed twice."""
    for i, source in enumerate(rule.sources or ()):
        if source not in known:
            there = ", ".join(known) or "none"
            message = f"there is no source `{source}`; the sources are {there}"
            raise document.error(message, *place, "sources", i)
    for key in ("by", "sources"):
        listed = getattr(rule, key) or ()
        for i, word in enumerate(listed):
            if word in listed[:i]:
                raise document.error(f"`{word}` stands twice in `{key}`", *place, key, i)


def _whole(document: Document, place: tuple[str, ...], own: Rule, default: Rule) -> AttributeRule:
    """A rule with what it leaves out taken from the default."""

    def of(key: str) -> Any:
        return getattr(own if key in own.model_fields_set else default, key)

    name = place[1] if len(place) > 1 else None
    by: tuple[Criterion, ...] = of("by") or ("recency",)
    if "source" in by and not of("sources"):
        raise document.error("`by` has `source`, but no `sources` are listed", *place, "by")
    if name and own.sources and "source" not in by:
        raise document.error("`sources` are listed, but `by` has no `source`", *place, "sources")
    fixed = KNOWN.get(name) if name else None
    if fixed and own.type and own.type != fixed:
        message = f"`{name}` is of type {fixed} wherever it is used; it cannot be {own.type}"
        raise document.error(message, *place, "type")
    kind: Kind = fixed or own.type or default.type or "text"
    if name and own.values and kind != "category":
        message = f"`values` go with the type category, and not with {kind}"
        raise document.error(message, *place, "values")
    junk = (default.junk, own.junk)
    return AttributeRule(
        kind,
        by,
        of("sources") or (),
        of("max_age_days"),
        tuple(sorted({_folded(v) for j in junk for v in j.values})),
        tuple(sorted({p for j in junk for p in j.patterns})),
        _spellings(document, place, kind, of("values")),
    )


def _folded(word: str) -> str:
    """As values are compared: small letters, and one space for several."""
    return " ".join(word.lower().split())


def _spellings(
    document: Document,
    place: tuple[str, ...],
    kind: Kind,
    values: Mapping[str, Sequence[str]] | None,
) -> dict[str, str]:
    """Every spelling of a list of values, in small letters, and the value it stands for."""
    if kind == "category" and not values:
        raise document.error("the type category needs `values`", *place, "type")
    found: dict[str, str] = {}
    words = GENDERS if kind == "gender" else values if kind == "category" else None
    for value, others in (words or {}).items():
        for spelling in (value, *others):
            word = _folded(spelling)
            if found.setdefault(word, value) != value:
                message = f"`{spelling}` stands for both {found[word]} and {value}"
                raise document.error(message, *place, "values", value)
    return found
