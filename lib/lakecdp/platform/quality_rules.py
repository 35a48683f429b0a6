"""What may be expected of a table, and each rule as a Spark SQL predicate.

A rule has one source, its line of YAML, and two readings: `refused()` is the predicate that sends
single rows to quarantine, `kwargs()` is what Great Expectations is given for the gate.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import override

NUMERIC = ("TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL")
DATED = ("DATE", "TIMESTAMP")
TEXT = ("STRING",)
SCALAR = (*NUMERIC, *DATED, *TEXT, "BOOLEAN")

Severity = Literal["fail", "warn"]
Bound = int | float | date | None


class Expectation(BaseModel):
    """One expectation: type and arguments of Great Expectations, and what follows when it fails.

    Attributes:
        type: name of the expectation.
        severity: `fail` stops the batch, `warn` is recorded.
        row: `quarantine` when single rows are refused by this rule before the gate.
        note: why it must hold; shown to whoever has to repair the data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    severity: Severity
    row: Literal["quarantine", "gate"] = "gate"
    note: str | None = None

    types: ClassVar[dict[str, tuple[str, ...]]] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it looks at, the one at fault first."""
        return tuple(
            c
            for key in ("column", "column_A", "column_B", "column_list")
            for c in listed(self, key)
        )

    def kwargs(self) -> dict[str, Any]:
        """Arguments for Great Expectations."""
        own = set(Expectation.model_fields)
        return {k: _plain(v) for k, v in self if k not in own and v is not None}

    def refused(self) -> str | None:
        """Spark SQL that is true for exactly the rows that break the rule and never null.

        None when the rule is about the table as a whole.
        """
        return None

    def rule(self) -> str:
        """The rule in words, to follow "it must"."""
        return self.note or "hold " + self.type

    def sentence(self) -> str:
        """The rule in words with the columns it is about."""
        names = ", ".join(self.columns) or "the table"
        return f"{names} must {self.rule()}"


class RowRule(Expectation):
    """A rule that each row keeps or breaks by itself.

    Attributes:
        mostly: share of the rows that must keep it; only for the gate.
    """

    mostly: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)

    @model_validator(mode="after")
    def _consistent(self) -> RowRule:
        if self.row == "quarantine" and self.mostly is not None:
            raise ValueError("`mostly` belongs to the gate; a row is refused or it is not")
        if self.row == "quarantine" and self.severity != "fail":
            raise ValueError("a rule that refuses rows has `severity: fail`")
        return self


class NotNull(RowRule):
    """The column has a value."""

    type: Literal["expect_column_values_to_not_be_null"]
    column: str

    @override
    def refused(self) -> str:
        return f"{quoted(self.column)} IS NULL"

    @override
    def rule(self) -> str:
        return "not be missing"


class InSet(RowRule):
    """The value is one of a few."""

    type: Literal["expect_column_values_to_be_in_set"]
    column: str
    value_set: list[str] | list[int] = Field(min_length=1)
    types: ClassVar = {"column": (*TEXT, "INT", "BIGINT")}

    @override
    def refused(self) -> str:
        inside = f"{quoted(self.column)} IN ({', '.join(literal(v) for v in self.value_set)})"
        return f"({quoted(self.column)} IS NOT NULL AND NOT {inside})"

    @override
    def rule(self) -> str:
        return f"be one of {', '.join(map(str, self.value_set))}"


class _Range(RowRule):
    min_value: Bound = None
    max_value: Bound = None
    strict_min: bool = False
    strict_max: bool = False

    @model_validator(mode="after")
    def _bounded(self) -> _Range:
        low, high = self.min_value, self.max_value
        if low is None and high is None:
            raise ValueError("give `min_value`, `max_value` or both")
        if low is not None and high is not None:
            if isinstance(low, date) != isinstance(high, date):
                raise ValueError("`min_value` and `max_value` must be of the same type")
            if low > high:  # type: ignore[operator]
                raise ValueError("`min_value` is above `max_value`")
        return self

    def _within(self, value: str) -> str:
        parts = []
        if self.min_value is not None:
            parts.append(f"{value} {'>' if self.strict_min else '>='} {literal(self.min_value)}")
        if self.max_value is not None:
            parts.append(f"{value} {'<' if self.strict_max else '<='} {literal(self.max_value)}")
        return f"({' AND '.join(parts)})"

    def _words(self) -> str:
        low = f"{'above' if self.strict_min else 'at least'} {self.min_value}"
        high = f"{'below' if self.strict_max else 'at most'} {self.max_value}"
        given = [w for w, v in ((low, self.min_value), (high, self.max_value)) if v is not None]
        return " and ".join(given)


class Between(_Range):
    """The number, date or time lies in a range."""

    type: Literal["expect_column_values_to_be_between"]
    column: str
    types: ClassVar = {"column": (*NUMERIC, *DATED)}

    @override
    def refused(self) -> str:
        name = quoted(self.column)
        return f"({name} IS NOT NULL AND NOT {self._within(name)})"

    @override
    def rule(self) -> str:
        return f"be {self._words()}"


class Lengths(_Range):
    """The text has a number of characters in a range."""

    type: Literal["expect_column_value_lengths_to_be_between"]
    column: str
    min_value: int | None = Field(None, ge=0)
    max_value: int | None = Field(None, ge=0)
    types: ClassVar = {"column": TEXT}

    @override
    def refused(self) -> str:
        name = quoted(self.column)
        return f"({name} IS NOT NULL AND NOT {self._within(f'length({name})')})"

    @override
    def rule(self) -> str:
        return f"have {self._words()} characters"


class _Pattern(RowRule):
    column: str
    regex: str = Field(min_length=1)
    types: ClassVar = {"column": TEXT}

    @model_validator(mode="after")
    def _compiles(self) -> _Pattern:
        try:
            re.compile(self.regex)
        except re.error as e:
            raise ValueError(f"{self.regex!r} is no regular expression: {e}") from None
        return self


class Regex(_Pattern):
    """The text contains a match of a pattern (anchor it with ^ and $)."""

    type: Literal["expect_column_values_to_match_regex"]

    @override
    def refused(self) -> str:
        name = quoted(self.column)
        return f"({name} IS NOT NULL AND NOT {name} RLIKE {literal(self.regex)})"

    @override
    def rule(self) -> str:
        return f"match {self.regex}"


class NotRegex(_Pattern):
    """The text contains no match of a pattern."""

    type: Literal["expect_column_values_to_not_match_regex"]

    @override
    def refused(self) -> str:
        name = quoted(self.column)
        return f"({name} IS NOT NULL AND {name} RLIKE {literal(self.regex)})"

    @override
    def rule(self) -> str:
        return f"not match {self.regex}"


class Pair(RowRule):
    """One column lies above another; rows in which one is missing pass."""

    type: Literal["expect_column_pair_values_a_to_be_greater_than_b"]
    column_A: str  # noqa: N815 - the name that Great Expectations gives it
    column_B: str  # noqa: N815
    or_equal: bool = False
    types: ClassVar = {"column_A": (*NUMERIC, *DATED), "column_B": (*NUMERIC, *DATED)}

    @override
    def refused(self) -> str:
        sign = ">=" if self.or_equal else ">"
        return f"coalesce(NOT ({quoted(self.column_A)} {sign} {quoted(self.column_B)}), false)"

    @override
    def rule(self) -> str:
        return f"be {'at least' if self.or_equal else 'above'} {self.column_B}"

    @override
    def sentence(self) -> str:
        return f"{self.column_A} must {self.rule()}"


class Satisfy(RowRule):
    """Where the column has a value, a Spark SQL expression over columns of the row is not false.

    An expectation of our own, registered with Great Expectations: its row condition in one SQL
    expression, which, unlike `unexpected_rows_expectation`, shares one pass with the others.
    """

    type: Literal["expect_column_values_to_satisfy"]
    column: str
    expression: str = Field(min_length=1)
    note: str = Field(min_length=1)

    @property
    @override
    def columns(self) -> tuple[str, ...]:
        others = [w for w in words(self.expression) if w != self.column]
        return (self.column, *dict.fromkeys(others))

    @override
    def refused(self) -> str:
        return f"({quoted(self.column)} IS NOT NULL AND NOT coalesce(({self.expression}), true))"

    @override
    def rule(self) -> str:
        return self.note

    @override
    def sentence(self) -> str:
        return f"{self.column} must {self.note}"


class Unique(Expectation):
    """No value stands in two rows."""

    type: Literal["expect_column_values_to_be_unique"]
    column: str
    row: Literal["gate"] = "gate"

    @override
    def rule(self) -> str:
        return "be unique"


class CompoundUnique(Expectation):
    """No combination of values stands in two rows."""

    type: Literal["expect_compound_columns_to_be_unique"]
    column_list: list[str] = Field(min_length=2)
    row: Literal["gate"] = "gate"

    @override
    def rule(self) -> str:
        return "be unique together"


class RowCount(Expectation):
    """The changed rows are of a number in a range."""

    type: Literal["expect_table_row_count_to_be_between"]
    min_value: int | None = Field(None, ge=0)
    max_value: int | None = Field(None, ge=0)
    row: Literal["gate"] = "gate"

    @model_validator(mode="after")
    def _bounded(self) -> RowCount:
        if self.min_value is None and self.max_value is None:
            raise ValueError("give `min_value`, `max_value` or both")
        return self

    @override
    def rule(self) -> str:
        given = (("at least", self.min_value), ("at most", self.max_value))
        return "have " + " and ".join(f"{w} {v:,}" for w, v in given if v is not None) + " rows"


def _type_of(model: type[Expectation]) -> Any:
    return model.model_fields["type"].annotation


_ALL: tuple[type[Expectation], ...] = (
    NotNull,
    InSet,
    Between,
    Lengths,
    Regex,
    NotRegex,
    Pair,
    Satisfy,
    Unique,
    CompoundUnique,
    RowCount,
)
MODELS: dict[str, type[Expectation]] = {get_args(_type_of(m))[0]: m for m in _ALL}


def listed(found: Expectation, key: str) -> list[str]:
    """The column or columns that an argument of an expectation names."""
    value = getattr(found, key, None)
    return value if isinstance(value, list) else [value] if value is not None else []


_KEYWORDS = frozenset(
    [
        "and",
        "or",
        "not",
        "in",
        "is",
        "null",
        "like",
        "rlike",
        "between",
        "case",
        "when",
        "then",
        "else",
        "end",
        "as",
        "distinct",
        "escape",
        "true",
        "false",
        "date",
        "timestamp",
        "string",
        "int",
        "bigint",
        "double",
        "boolean",
        "decimal",
        "interval",
        "day",
        "days",
        "month",
        "months",
        "year",
        "years",
        "hour",
        "hours",
        "minute",
        "minutes",
        "second",
        "seconds",
    ]
)


def bare(expression: str) -> str:
    """An expression with the text of its string literals taken out."""
    return re.sub(r"'(?:[^'\\]|\\.)*'", "''", expression)


def words(expression: str) -> list[str]:
    """The columns that a Spark SQL expression names, in order, without doubles."""
    found = re.findall(r"(?<![\w.])([A-Za-z_]\w*)\b(?!\s*\()", bare(expression))
    return list(dict.fromkeys(w for w in found if w.lower() not in _KEYWORDS))


def quoted(name: str) -> str:
    """A column name for Spark SQL."""
    return f"`{name.replace('`', '``')}`"


def literal(value: str | float | date | None) -> str:
    """A value for Spark SQL; dates as text, which Spark compares by the type of the column."""
    if isinstance(value, date):
        return f"'{value.isoformat()}'"
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{text}'"
    return f"{value!r}D" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
