"""Identifiers: the rules of `conf/identity.yaml`, normal forms, junk and keyed hashes.

Silver turns the identifier columns of a record into `identifiers` with these functions, so that no
later table needs a clear value.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pyspark.sql import Column
from pyspark.sql import functions as F

from lakecdp.governance.phone import e164, keep
from lakecdp.platform import yamlfile
from lakecdp.platform.errors import UsageError
from lakecdp.platform.settings import Conf

RULES = "identity.yaml"
SEPARATOR = "\u001f"
Format = Literal["text", "lower", "email", "phone"]

_EMAIL = r"(?=.{6,254}$)[^\s@,;<>()\"]+@(?:[^\s@.,;<>()\"]+\.)+[^\s@.,;<>()\"0-9]{2,}"
_WIDE = "".join(chr(c) for c in range(0xFF01, 0xFF5F)) + "\u3000"
_NARROW = "".join(chr(c) for c in range(0x21, 0x7F)) + " "
"""Full-width letters, digits and signs, as input methods for Chinese and Japanese write them."""
BLANK = " \t\r\n\f\v\x00\u00a0\u2007\u202f\u3000\ufeff"
_POSITIVE = 0x7FFFFFFFFFFFFFFF


class Junk(BaseModel):
    """Values that identify nobody."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    values: tuple[str, ...] = Field(default=(), description="Whole values, whatever their case")
    patterns: tuple[str, ...] = Field(
        default=(), description="Regular expressions of the whole value"
    )

    @field_validator("patterns")
    @classmethod
    def _compiles(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as e:
                raise ValueError(f"{pattern!r} is no regular expression ({e})") from None
        return patterns


class Limit(BaseModel):
    """How many others of one type an identifier may meet."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(description="The type that is counted")
    at_most: int = Field(ge=1, description="Different ones that are allowed")
    within_days: int | None = Field(
        default=None,
        ge=1,
        description="Counted are those first met within so many days; null: ever",
    )


class IdentifierType(BaseModel):
    """What the rules say of one type of identifier."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="", exclude=True)
    priority: int = Field(ge=1, description="1 is the strongest; no two types share one")
    unique: bool = Field(default=False, description="Two different values are never one customer")
    of: Literal["person", "device"] = Field(
        default="person", description="What it stands for: a customer with devices only is unknown"
    )
    format: Format = Field(default="text", description="How values are brought to one form")
    limit: int | None = Field(
        default=None, ge=1, description="Identifiers of one stronger type that it may join"
    )
    limit_all: int | None = Field(
        default=None, ge=1, description="Identifiers that it may join in all"
    )
    limits: tuple[Limit, ...] = Field(
        default=(), description="Further limits, on one type and within days"
    )
    expires_after_days: int | None = Field(
        default=None, ge=1, description="Days without being seen again after which it joins nothing"
    )
    junk: Junk = Junk()


class IdentityRules(BaseModel):
    """`conf/identity.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    junk: Junk = Field(default=Junk(), description="Junk of every type")
    by_name: dict[str, IdentifierType] = Field(alias="types", min_length=1)

    @field_validator("by_name")
    @classmethod
    def _named(cls, types: dict[str, IdentifierType]) -> dict[str, IdentifierType]:
        for name in types:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise ValueError(f"{name!r} is no name for a type: use a-z, 0-9 and _")
        return {n: t.model_copy(update={"name": n}) for n, t in types.items()}

    @model_validator(mode="after")
    def _ordered(self) -> IdentityRules:
        seen: dict[int, str] = {}
        for name, kind in self.by_name.items():
            other = seen.setdefault(kind.priority, name)
            if other != name:
                raise ValueError(f"{other} and {name} have the same priority {kind.priority}")
            for limit in kind.limits:
                if limit.type not in self.by_name:
                    raise ValueError(
                        f"types.{name}.limits names the type `{limit.type}`; there are "
                        f"{', '.join(self.by_name)}"
                    )
        return self

    @classmethod
    def load(cls, conf: Conf) -> IdentityRules:
        """The rules in force.

        Raises:
            ConfigError: a wrong key or value, with file and line.
        """
        return yamlfile.parse(conf.document(RULES), cls)

    @cached_property
    def types(self) -> tuple[IdentifierType, ...]:
        """The types, strongest first."""
        return tuple(sorted(self.by_name.values(), key=lambda t: t.priority))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the types, strongest first."""
        return tuple(t.name for t in self.types)

    def type(self, name: str) -> IdentifierType:
        """The rules of one type.

        Raises:
            UsageError: there is no such type.
        """
        if name not in self.by_name:
            raise UsageError(
                f"There is no identifier type `{name}`; conf/{RULES} has {', '.join(self.names)}."
            )
        return self.by_name[name]

    @property
    def expire(self) -> bool:
        """Whether some evidence expires, so that the grouping depends on the date too."""
        return any(t.expires_after_days for t in self.types)

    def fingerprint(self) -> str:
        """A hash that changes whenever the grouping of identifiers may change."""
        types = [
            (t.name, t.model_dump(mode="json", exclude={"priority", "of"})) for t in self.types
        ]
        return _digest([self.junk.model_dump(mode="json"), types])

    def values_fingerprint(self) -> str:
        """A hash that changes whenever `identifiers` of a record may change (limits do not)."""
        kept = {"format", "junk"}
        types = [(t.name, t.model_dump(mode="json", include=kept)) for t in self.types]
        return _digest(["2", self.junk.model_dump(mode="json"), types])


def _digest(parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def normalise(type_: str, value: Column, rules: IdentityRules, phone_region: str | None) -> Column:
    """The one form in which values of a type are compared.

    Full-width letters, digits and signs count as their plain forms (as in Unicode's NFKC).

    Args:
        type_: identifier type.
        value: the value as delivered.
        rules: the rules in force.
        phone_region: country (ISO 3166 alpha-2) of phone numbers without a prefix; without one,
            numbers that have no prefix keep their digits.

    Returns:
        STRING; null for a value that is empty or cannot be an identifier of the type.
    """
    kind = rules.type(type_)
    text = F.btrim(F.translate(value.cast("string"), _WIDE, _NARROW), F.lit(BLANK))
    if kind.format == "phone":
        return e164(text, phone_region)
    if kind.format == "email":
        return keep(F.lower(text), _EMAIL)
    return keep(F.lower(text) if kind.format == "lower" else text, ".+")


def without_junk(type_: str, value: Column, rules: IdentityRules) -> Column:
    """A normalised value, or null where it identifies nobody."""
    pattern = _junk_pattern(type_, rules)
    return keep(value, f"(?!(?:{pattern})$).+") if pattern else value


def _junk_pattern(type_: str, rules: IdentityRules) -> str:
    """All junk of a type as one pattern: reading a value once is what counts on large inputs."""
    own = rules.type(type_).junk
    values = sorted({v.lower() for v in (*rules.junk.values, *own.values)})
    parts = [f"(?iu:{'|'.join(re.escape(v) for v in values)})"] if values else []
    groups = 0
    for pattern in (*rules.junk.patterns, *own.patterns):
        shift = groups
        parts.append(re.sub(r"(?<!\\)\\([1-9])", lambda m, n=shift: f"\\{int(m[1]) + n}", pattern))  # type: ignore[misc]
        groups += re.compile(pattern).groups
    return "|".join(parts)


def is_junk(type_: str, value: Column, rules: IdentityRules) -> Column:
    """Whether a normalised value identifies nobody (BOOLEAN; false for null)."""
    return value.isNotNull() & without_junk(type_, value, rules).isNull()


def node_id(type_: str, normalised: Column, key: str) -> Column:
    """The node of an identifier: BIGINT, 63 bits of a keyed SHA-256; null for null.

    The hash is taken over key, type and value, separated by U+001F; its first 64 bits without the
    sign bit are the node.
    """
    start = F.lit(SEPARATOR.join((key, type_, "")))
    digest = F.sha2(F.concat(start, normalised), 256)
    signed = F.conv(F.substring(digest, 1, 16), 16, -10).cast("bigint")
    return signed.bitwiseAND(F.lit(_POSITIVE))


def node_of(type_: str, normalised: str, key: str) -> int:
    """The same as `node_id`, for one value and without Spark."""
    text = SEPARATOR.join((key, type_, normalised))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") & _POSITIVE


def identifiers(
    columns: Mapping[str, Column], rules: IdentityRules, key: str, region: str | None
) -> Column:
    """The identifiers of a record.

    Args:
        columns: identifier type -> the column with its value as delivered.
        rules: the rules in force.
        key: the secret of the hash.
        region: country of phone numbers without a prefix.

    Returns:
        ARRAY<STRUCT<type: STRING, node_id: BIGINT>>, strongest first, without nulls and junk; empty
        where nothing is left.

    Raises:
        UsageError: an unknown type.
    """
    return _array(columns, rules, key, region, with_value=False)


def clear_values(
    columns: Mapping[str, Column], rules: IdentityRules, key: str, region: str | None
) -> Column:
    """The identifiers of a record with their clear values, for silver.identifier alone.

    Returns:
        ARRAY<STRUCT<type: STRING, node_id: BIGINT, value: STRING>>; see `identifiers`.
    """
    return _array(columns, rules, key, region, with_value=True)


def _array(
    columns: Mapping[str, Column],
    rules: IdentityRules,
    key: str,
    region: str | None,
    *,
    with_value: bool,
) -> Column:
    kinds = sorted((rules.type(name) for name in columns), key=lambda t: t.priority)
    found = [_one(t.name, columns[t.name], rules, key, region, with_value) for t in kinds]
    empty = "ARRAY<STRUCT<type: STRING, node_id: BIGINT" + (
        ", value: STRING>>" if with_value else ">>"
    )
    return F.array_compact(F.array(*found)).cast(empty)


def _one(
    name: str, raw: Column, rules: IdentityRules, key: str, region: str | None, with_value: bool
) -> Column:
    value = without_junk(name, normalise(name, raw, rules, region), rules)
    node = node_id(name, value, key)
    fields = [F.lit(name).alias("type"), node.alias("node_id")]
    if with_value:
        fields.append(value.alias("value"))
    missing = [fields[0], *(F.lit(None).cast(t) for t in ("bigint", "string")[: len(fields) - 1])]
    # nullif evaluates its first argument once; a condition on `node` would hash every value twice.
    return F.nullif(F.struct(*fields), F.struct(*missing))


def unknown_types(names: Iterable[str], rules: IdentityRules) -> list[str]:
    """Those of `names` that the rules do not know, in order."""
    return sorted({n for n in names if n not in rules.by_name})
