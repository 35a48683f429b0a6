"""The rules of `conf/repairs.yaml`: which missing or odd values are repaired, and which rows flagged."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.bronze.mapping import ADAPTERS, DERIVED, Source, TableName
from lakecdp.platform import yamlfile
from lakecdp.platform.errors import ConfigError
from lakecdp.platform.expressions import Purity, sentence
from lakecdp.platform.settings import Conf

RULES = "repairs.yaml"
GIVEN = "given"
"""Struct of the identifiers of a record in their normal form, such as `given.phone`."""
ATTRIBUTE = "attribute"
TAKEN = ("source", "observed_at", "identifiers", "given", "seen_in")
"""What no attribute of a rule can be called, since the record itself has something of that name."""
_NAME = r"^[a-z][a-z0-9_]{0,47}$"
_NUMERIC = ("TINYINT", "SMALLINT", "INT", "BIGINT", "DECIMAL", "FLOAT", "DOUBLE")
_DATED = ("DATE", "TIMESTAMP")


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: str = Field(pattern=_NAME, description="Stands in the rows and in the accounts")
    table: TableName = Field(description="Silver table, without `silver.`")
    sources: tuple[str, ...] | None = Field(
        None, min_length=1, description="Only rows of these sources; null: of all"
    )
    when: str = Field(min_length=1, description="Condition over the columns of the table")
    why: str = Field(min_length=1, description="Reason, for people")

    def meant_for(self, table: str, source: str) -> bool:
        """Whether the rule looks at rows that a source gives to a table."""
        return self.table == table and (self.sources is None or source in self.sources)


class Repair(_Rule):
    """Values that are filled or replaced where a condition holds."""

    values: dict[str, str] = Field(
        alias="set", min_length=1, description="Column (of `attribute`: attribute): expression"
    )

    @field_validator("values", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        if isinstance(value, dict):
            return {
                k: str(v) if isinstance(v, int | float) and not isinstance(v, bool) else v
                for k, v in value.items()
            }
        return value


class Outlier(_Rule):
    """Rows that are flagged where a condition holds; none is dropped."""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    repairs: tuple[Repair, ...] = ()
    outliers: tuple[Outlier, ...] = ()


@dataclass(frozen=True)
class RepairRules:
    """All rules, in the order in which they are applied.

    Attributes:
        repairs: see `Repair`; each sees what those before it have done.
        outliers: see `Outlier`; they see repaired rows.
        document: where they stand.
        attributes: names of attributes that a source or a rule gives; rules on `attribute` read them.
    """

    repairs: tuple[Repair, ...] = ()
    outliers: tuple[Outlier, ...] = ()
    document: yamlfile.Document | None = None
    attributes: tuple[str, ...] = field(default=())

    @classmethod
    def load(cls, conf: Conf, sources: Iterable[Source]) -> RepairRules:
        """The rules in force.

        Args:
            conf: the business rules.
            sources: the mappings in use, whose names and attributes rules may name.

        Raises:
            ConfigError: a wrong key, table, source or column, with file, line and what exists.
        """
        document = conf.document(RULES)
        file = yamlfile.parse(document, _File)
        mappings = [s.mapping for s in sources]
        # The shipped rules name shipped sources, which a folder of one's own takes out of use.
        files = [*conf.folder("sources"), *conf.folder(ADAPTERS)]
        stems = {p.stem for p in [*files, *(conf.shipped / "sources").glob("*.yaml")]}
        _check_names(document, file, sorted(stems | {m.source for m in mappings}))
        given = {a for m in mappings for t in m.targets for a in t.attributes}
        given |= {c for r in file.repairs if r.table == ATTRIBUTE for c in r.values}
        return cls(file.repairs, file.outliers, document, tuple(sorted(given)))

    def of(self, table: str, source: str) -> RepairRules:
        """Those for the rows that a source gives to a table."""
        return RepairRules(
            tuple(r for r in self.repairs if r.meant_for(table, source)),
            tuple(r for r in self.outliers if r.meant_for(table, source)),
            self.document,
            self.attributes,
        )

    def dump(self, tables: Sequence[str], source: str) -> list[str]:
        """What changes when rows that a source gives to tables would be repaired otherwise."""
        return [
            rule.model_dump_json(exclude={"why", "sources"})
            for rule in (*self.repairs, *self.outliers)
            if any(rule.meant_for(t, source) for t in tables)
        ]

    def names(self, table: str) -> list[tuple[str, str]]:
        """Kind (repair or outlier) and name of the rules for a table."""
        found = [("repair", r.name) for r in self.repairs if r.table == table]
        return found + [("outlier", r.name) for r in self.outliers if r.table == table]

    @property
    def texts(self) -> list[str]:
        """All expressions."""
        conditions = [r.when for r in (*self.repairs, *self.outliers)]
        return conditions + [e for r in self.repairs for e in r.values.values()]

    @property
    def look_at_identifiers(self) -> bool:
        """Whether some expression reads `given`."""
        return any(re.search(rf"\b{GIVEN}\b", text, re.I) for text in self.texts)


def columns_of(table: str, attributes: Iterable[str] = ()) -> dict[str, str]:
    """Columns that repairs of a table may read, and their types.

    Args:
        table: without `silver.`; for `attribute` a row has a column for each attribute.
        attributes: the attributes there are.
    """
    contract = contracts.table(f"silver.{table}")
    types = {c.name: c.type for c in contract.columns if not c.name.startswith("_")}
    kept = {n: t for n, t in types.items() if n not in DERIVED or n == "source"}
    if table == ATTRIBUTE:
        kept = {n: kept[n] for n in ("source", "observed_at")}
        kept |= {a: "STRING" for a in attributes if a not in TAKEN}
    return kept


def settable(table: str, attributes: Iterable[str] = ()) -> list[str]:
    """Columns that a repair may set: not those that make up the key, nor those that are derived."""
    key = contracts.table(f"silver.{table}").key
    return [c for c in columns_of(table, attributes) if c != "source" and c not in key]


def _check_names(document: yamlfile.Document, file: _File, sources: Sequence[str]) -> None:
    seen: set[str] = set()
    parts: tuple[tuple[str, Sequence[_Rule]], ...] = (
        ("repairs", file.repairs),
        ("outliers", file.outliers),
    )
    for part, rules in parts:
        for i, rule in enumerate(rules):
            if rule.name in seen:
                raise document.error(f"the name `{rule.name}` is given twice", part, i, "name")
            seen.add(rule.name)
            for source in rule.sources or ():
                if source not in sources:
                    said = f"there is no source `{source}`; there are {', '.join(sources)}"
                    raise document.error(said, part, i, "sources")
            if isinstance(rule, Repair):
                _check_set(document, i, rule)


def _check_set(document: yamlfile.Document, i: int, rule: Repair) -> None:
    if rule.table == ATTRIBUTE:
        for name in rule.values:
            if not re.fullmatch(_NAME, name) or name in TAKEN:
                said = (
                    f"`{name}` cannot be an attribute: names are of small letters, digits and _, "
                    f"and not {', '.join(TAKEN)}"
                )
                raise document.error(said, "repairs", i, "set", name)
        return
    usable = settable(rule.table)
    for name in rule.values:
        if name not in usable:
            said = _unknown(name, f"silver.{rule.table}", usable, "can set")
            raise document.error(said, "repairs", i, "set", name)


def _unknown(name: str, table: str, known: Iterable[str], verb: str = "can read") -> str:
    near = difflib.get_close_matches(name.lower(), list(known), 3, 0.5)
    rest = [n for n in known if n not in near]
    return (
        f"`{name}` is no column of {table} that a rule {verb}; it has {', '.join([*near, *rest])}"
    )


def check(spark: SparkSession, rules: RepairRules, identifiers: Sequence[str]) -> None:
    """Analyse every expression on no data.

    Args:
        spark: the session that parses them.
        rules: the rules.
        identifiers: types of identifiers, the fields of `given`.

    Raises:
        ConfigError: an expression is wrong, with file, line and the columns that exist.
    """
    for i, repair in enumerate(rules.repairs):
        types = columns_of(repair.table, rules.attributes)
        frame = _empty(spark, types, identifiers)
        _check(frame, rules, repair.table, repair.when, "BOOLEAN", "repairs", i, "when")
        for name, text in repair.values.items():
            _check(frame, rules, repair.table, text, types[name], "repairs", i, "set", name)
    for i, outlier in enumerate(rules.outliers):
        types = outlier_columns(outlier.table)
        frame = _empty(spark, types, identifiers)
        _check(frame, rules, outlier.table, outlier.when, "BOOLEAN", "outliers", i, "when")


def outlier_columns(table: str) -> dict[str, str]:
    """Columns that outliers of a table may read, and their types: of `attribute` name and value."""
    contract = contracts.table(f"silver.{table}")
    return {
        c.name: c.type
        for c in contract.columns
        if not c.name.startswith("_") and (c.name not in DERIVED or c.name == "source")
    }


def _empty(spark: SparkSession, types: Mapping[str, str], identifiers: Sequence[str]) -> DataFrame:
    columns = [f"CAST(NULL AS {kind}) AS `{name}`" for name, kind in types.items()]
    fields = ", ".join(f"{name}: STRING" for name in identifiers)
    columns.append(f"CAST(NULL AS STRUCT<{fields}>) AS {GIVEN}")
    return spark.sql(f"SELECT {', '.join(columns)} WHERE false")


def _check(
    frame: DataFrame, rules: RepairRules, table: str, text: str, wants: str, *loc: str | int
) -> None:
    known = frame.columns

    def unknown(name: str) -> str | None:
        if name.lower() in [k.lower() for k in known]:
            return None
        return _unknown(name, f"silver.{table}", known)

    def error(message: str) -> ConfigError:
        if rules.document is None:
            return ConfigError(message, RULES)
        return rules.document.error(message, *loc)

    wrong = Purity(frame.sparkSession, unknown).wrong(text)
    if wrong:
        raise error(wrong)
    try:
        kind = frame.select(F.expr(text).alias("value")).schema["value"].dataType.simpleString()
    except AnalysisException as e:
        said = f"Spark refuses the expression: {sentence(e)}; the columns are {', '.join(known)}"
        raise error(said) from None
    if _family(kind.upper()) != _family(wants):
        raise error(f"the expression must give {wants}; this one gives {kind.upper()}")


def _family(kind: str) -> str:
    base = kind.split("(", maxsplit=1)[0].split("<", maxsplit=1)[0]
    if base in _NUMERIC:
        return "number"
    return "time" if base in _DATED else base
