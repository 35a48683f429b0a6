"""What files hold beyond what their mapping names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakecdp.bronze.mapping import SourceMapping
from lakecdp.bronze.records import WHOLE

Path = tuple[str, ...]
ITEMS = "[]"
MOST, NAMED = 1000, 20
_STEP = re.compile(r"\.([^.\[\]]+)|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]|\[\d+\]")


def seen_fields(landed: DataFrame) -> dict[str, frozenset[str]]:
    """The columns or fields that files of each source have shown so far.

    Args:
        landed: bronze.landed_file.
    """
    shown = landed.select("source", F.explode("header").alias("field"))
    rows = shown.groupBy("source").agg(F.collect_set("field").alias("fields")).collect()
    return {r["source"]: frozenset(r["fields"]) for r in rows}


def leaves(schema: str) -> dict[Path, str]:
    """The innermost fields of a nested type, in order, with their types.

    Args:
        schema: as Spark writes it: `OBJECT<a: BIGINT, items: ARRAY<OBJECT<sku: STRING>>>`.

    Returns:
        Path of keys (`[]` for the items of an array) and type; a type that is not nested is one
        leaf with an empty path. Maps are leaves.
    """
    found: dict[Path, str] = {}
    _Reader(schema).read((), found)
    return found


class _Reader:
    """Reads a type from its text; Spark's own parser does not know OBJECT."""

    def __init__(self, text: str):
        self.text = text
        self.at = 0

    def read(self, path: Path, found: dict[Path, str]) -> None:
        """Read one type and note its leaves."""
        start = self.at
        word = self._until("<>,(").strip().upper()
        if self._next("<"):
            if word == "ARRAY":
                self.read((*path, ITEMS), found)
            elif word in ("OBJECT", "STRUCT"):
                if self._here(">"):
                    found[path] = "OBJECT<>"
                while not self._here(">"):
                    name = self._name()
                    self.read((*path, name), found)
                    self._next(",")
            else:
                self._over()
                found[path] = self.text[start : self.at + 1]
            self._next(">")
            return
        if self._here("("):
            self._until(")")
            self.at += 1
        found[path] = self.text[start : self.at].strip()

    def _name(self) -> str:
        while self.text[self.at] == " ":
            self.at += 1
        if self._next("`"):
            name = ""
            while not self._here("`") or self.text[self.at : self.at + 2] == "``":
                step = 2 if self._here("`") else 1
                name += self.text[self.at]
                self.at += step
            self.at += 1
        else:
            name = self._until(":")
        self._next(":")
        return name.strip()

    def _until(self, ends: str) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in ends:
            self.at += 1
        return self.text[start : self.at]

    def _over(self) -> None:
        depth = 1
        while True:
            depth += {"<": 1, ">": -1}.get(self.text[self.at], 0)
            if not depth:
                return
            self.at += 1

    def _here(self, ch: str) -> bool:
        return self.text[self.at : self.at + 1] == ch

    def _next(self, ch: str) -> bool:
        if not self._here(ch):
            return False
        self.at += 1
        return True


def steps(path: str) -> Path:
    """The keys of a JSON path: `$.properties['$ip']` are properties and $ip."""
    return tuple(
        ITEMS if m[0][1:-1].isdigit() else re.sub(r"\\(.)", r"\1", m[1] or m[2] or m[3] or "")
        for m in _STEP.finditer(path)
    )


def shown(path: Path) -> str:
    """A path as it is written for people: `properties.$ip`, `items[].sku`."""
    return ".".join(path).replace(f".{ITEMS}", ITEMS)


def mapped(mapping: SourceMapping) -> set[Path]:
    """What a mapping names, down to the fields of nested types."""
    found: set[Path] = set()
    for name, column in mapping.columns.items():
        base = steps(column.path) if column.path else (name,)
        found |= {base + leaf for leaf in leaves(column.type)}
    return found


def beyond(fields: Iterable[Path], mapping: SourceMapping) -> list[Path]:
    """Those of the fields that the mapping does not name.

    What lies below a named column of type variant, map or string is named with it, and so is an
    empty array whose items are.
    """
    named = mapped(mapping)
    whole = {path[:n] for path in named for n in range(1, len(path) + 1)}

    def known(path: Path) -> bool:
        return path in whole or any(path[:n] in named for n in range(len(path)))

    return [p for p in fields if p != (WHOLE,) and not known(p)]


def fields_of(schema: str | None) -> list[Path]:
    """The fields that records hold, by their common schema; at most a thousand."""
    return [p for p in leaves(schema) if p][:MOST] if schema else []


def new_fields(fields: Iterable[Path], mapping: SourceMapping, seen: Collection[str]) -> list[str]:
    """A sentence on the fields that neither the mapping nor an earlier file has, or none."""
    new = [n for n in (shown(p) for p in beyond(fields, mapping)) if n not in seen]
    if not new:
        return []
    more = f" and {len(new) - NAMED:,} more" if len(new) > NAMED else ""
    return [f"new fields {', '.join(new[:NAMED])}{more} (kept in raw)"]


def new_columns(headers: Mapping[str, Collection[str]], seen: Collection[str]) -> list[str]:
    """A sentence on every column that neither the mapping nor an earlier file has.

    Args:
        headers: file -> its columns beyond the mapping.
        seen: columns of earlier files.
    """
    first: dict[str, str] = {}
    for path in sorted(headers, reverse=True):
        first |= {n: path for n in headers[path] if n not in seen}
    return [f"new column {n} (kept in raw), first in {path}" for n, path in sorted(first.items())]


def measures(mapping: SourceMapping) -> list[Column]:
    """What to observe of JSON records while they are written: their schema, and required columns."""
    if mapping.format != "json":
        return []
    return [
        F.schema_of_variant_agg("raw").alias("schema"),
        F.count("raw").alias("readable"),
        *[
            F.count(F.try_variant_get("raw", path, "variant")).alias(f"given_{i}")
            for i, (_, path) in enumerate(required(mapping))
        ],
    ]


def required(mapping: SourceMapping) -> list[tuple[str, str]]:
    """Name and JSON path of the required columns."""
    return [
        (n, c.path or "$['{}']".format(n.replace("'", "\\'")))
        for n, c in mapping.columns.items()
        if c.required
    ]


def absent(mapping: SourceMapping, observed: Mapping[str, object]) -> list[str]:
    """Required columns that not one record has, by what `measures` observed."""
    if not observed.get("readable"):
        return []
    return [n for i, (n, _) in enumerate(required(mapping)) if not observed[f"given_{i}"]]
