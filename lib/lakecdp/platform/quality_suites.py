"""The suites in expectations/, one per table, checked against the contract when they are read."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from lakecdp import contracts
from lakecdp.contracts import Column, TableContract
from lakecdp.platform import shipped, yamlfile
from lakecdp.platform.errors import ConfigError
from lakecdp.platform.quality_rules import (
    DATED,
    MODELS,
    Between,
    Expectation,
    RowRule,
    Satisfy,
    bare,
    listed,
)


@dataclass(frozen=True)
class Suite:
    """The expectations of one table.

    Attributes:
        contract: the table.
        expectations: in order of the file.
    """

    contract: TableContract
    expectations: tuple[Expectation, ...]

    @property
    def table(self) -> str:
        """Name of the table."""
        return self.contract.name

    @property
    def row_rules(self) -> tuple[RowRule, ...]:
        """Those that refuse single rows."""
        return tuple(
            e for e in self.expectations if isinstance(e, RowRule) and e.row == "quarantine"
        )

    @property
    def fingerprint(self) -> str:
        """Changes when an expectation does."""
        text = json.dumps([e.model_dump(mode="json") for e in self.expectations], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def hidden(self, column: str) -> bool:
        """Whether the values of a column must not be shown."""
        found = _column(self.contract, column)
        return found is None or found.grade in ("personal", "sensitive")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    table: str
    expectations: list[dict[str, Any]] = Field(min_length=1)


class _Item(yamlfile.Document):
    """One expectation of a file, with the line where it begins for whatever is missing in it."""

    def __init__(self, document: yamlfile.Document, index: int, data: dict[str, Any]):
        at: tuple[str | int, ...] = ("expectations", index)
        inner = {loc[2:]: n for loc, n in document.lines.items() if loc[:2] == at and len(loc) > 2}
        super().__init__(document.path, data, inner)
        self._start = document.lines.get(at)

    @override
    def line(self, loc: Sequence[str | int]) -> int | None:
        return self.lines.get(tuple(loc[:1]), self._start)


def suite_file(contract: TableContract, root: Path | None = None) -> Path:
    """Where the suite of a table lies: the numbered folder of the job that owns it."""
    stage = contract.owner.split("/")[0]
    folder = stage if re.match(r"\d\d_", stage) else "09_operations"
    name = contract.name.split(".", 1)[1]
    if contract.schema == "bronze" and contract.name not in contracts.all_tables():
        name = "_source"
    return (root or shipped.root() / "expectations") / folder / f"{name}.yaml"


@cache
def suite(table: str) -> Suite:
    """The shipped suite of a table; all `bronze.<source>` tables share one.

    Raises:
        ConfigError: there is none, or something in it is wrong, with file, line and what exists.
    """
    contract = contracts.table(table)
    return load_suite(suite_file(contract), contract)


def load_suite(path: Path, contract: TableContract) -> Suite:
    """Read and check one suite; see `suite`."""
    if not path.is_file():
        raise ConfigError(f"the table {contract.name} has no suite", path)
    return parse_suite(yamlfile.load(path), contract)


def parse_suite(document: yamlfile.Document, contract: TableContract) -> Suite:
    """Check a suite against the contract of its table; see `suite`."""
    file = yamlfile.parse(document, _File)
    shared = suite_file(contract).name == "_source.yaml"
    wanted = "bronze.<source>" if shared else contract.name
    if file.table != wanted:
        raise document.error(f"`table` is {file.table!r}, the file belongs to {wanted}", "table")
    found = [_expectation(_Item(document, i, d), contract) for i, d in enumerate(file.expectations)]
    seen: set[str] = set()
    for i, e in enumerate(found):
        same = json.dumps([e.type, e.kwargs()], sort_keys=True)
        if same in seen:
            raise document.error(
                f"{e.type} of {', '.join(e.columns)} is given twice", "expectations", i
            )
        seen.add(same)
    return Suite(contract, tuple(found))


def _expectation(item: _Item, contract: TableContract) -> Expectation:
    kind = item.data.get("type")
    if kind is None:
        raise item.error("the key `type` is missing")
    model = MODELS.get(str(kind))
    if model is None:
        near = difflib.get_close_matches(str(kind), MODELS, 1)
        hint = f" (did you mean `{near[0]}`?)" if near else ""
        raise item.error(
            f"unknown expectation `{kind}`{hint}; there are {', '.join(MODELS)}", "type"
        )
    found = yamlfile.parse(item, model)
    if isinstance(found, Satisfy):
        _check_expression(found, item)
    for name in found.columns:
        if _column(contract, name) is None:
            key = "expression" if isinstance(found, Satisfy) and name != found.column else "column"
            raise item.error(_unknown(name, contract), *_place(found, name, key))
    for key, allowed in found.types.items():
        column = _column(contract, getattr(found, key))
        if column is not None and not column.type.startswith(allowed):
            raise item.error(f"{found.type} does not fit {column.name}, a {column.type}", key)
    if isinstance(found, Between):
        _check_bounds(found, contract, item)
    return found


def _check_bounds(found: Between, contract: TableContract, item: _Item) -> None:
    column = _column(contract, found.column)
    dated = column is not None and column.type.startswith(DATED)
    for key in ("min_value", "max_value"):
        bound = getattr(found, key)
        if bound is not None and isinstance(bound, date) != dated:
            wanted = "a date such as 2020-01-31" if dated else "a number"
            raise item.error(f"`{key}` is {bound}: {found.column} needs {wanted}", key)


def _check_expression(found: Satisfy, item: _Item) -> None:
    outside = re.search(
        r"\b(try_reflect|reflect|java_method|select)\b", bare(found.expression), re.I
    )
    if outside:
        raise item.error(f"`{outside[0]}` is not allowed in an expression", "expression")


def _place(found: Expectation, name: str, key: str) -> tuple[str, ...]:
    for candidate in ("column_A", "column_B", "column_list"):
        if name in listed(found, candidate):
            return (candidate,)
    return (key,)


def _unknown(name: str, contract: TableContract) -> str:
    known = [c.name for c in contract.all_columns]
    near = difflib.get_close_matches(name, known, 1)
    hint = f" (did you mean `{near[0]}`?)" if near else ""
    return f"{contract.name} has no column `{name}`{hint}; it has {', '.join(known)}"


def _column(contract: TableContract, name: str) -> Column | None:
    return next((c for c in contract.all_columns if c.name == name), None)
