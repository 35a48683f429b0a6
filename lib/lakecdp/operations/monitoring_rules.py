"""The rules of `conf/monitoring.yaml`: what is measured, and when it is out of the ordinary."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lakecdp import contracts
from lakecdp.contracts import TableContract
from lakecdp.platform import yamlfile
from lakecdp.platform.settings import Conf

RULES = "monitoring.yaml"
METRICS = ("rows", "freshness", "null_rate")
Severity = Literal["fail", "warn", "off"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limit(_Strict):
    """When one metric is out of the ordinary."""

    severity: Severity = "warn"
    deviations: float = Field(6, gt=0, description="Times the usual deviation")
    min_change: float = Field(0, ge=0, description="A smaller change is usual in any case")


class RowsLimit(Limit):
    """When a number of rows is out of the ordinary."""

    min_rows: int = Field(0, ge=0, description="Days that have and expect fewer are not judged")


class NullLimit(Limit):
    """When a null rate is out of the ordinary."""

    min_rows: int = Field(50, ge=1, description="Days with fewer rows have no null rate")


class _LimitPart(_Strict):
    severity: Severity | None = None
    deviations: float | None = Field(None, gt=0)
    min_change: float | None = Field(None, ge=0)


class _CountedPart(_LimitPart):
    min_rows: int | None = Field(None, ge=1)


class _TablePart(_Strict):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    rows: _CountedPart = _CountedPart()
    freshness: _LimitPart = _LimitPart()
    null_rate: _CountedPart = _CountedPart()
    leave_out: tuple[str, ...] = Field((), alias="except", description="Columns not watched")


class _File(_Strict):
    weeks: int = Field(8, ge=1, le=104, description="Days compared with, a week apart")
    min_history: int = Field(4, ge=1, description="With fewer of them nothing is judged")
    judge_days: int = Field(3, ge=1, le=60, description="Days judged in every run")
    settle_days: int = Field(1, ge=0, le=30, description="Last days not judged yet")
    rows: RowsLimit = RowsLimit(min_change=0.4)
    freshness: Limit = Limit(min_change=24)
    null_rate: NullLimit = NullLimit(min_change=0.1)
    tables: dict[str, _TablePart | None] = Field(min_length=1)


@dataclass(frozen=True)
class Watch:
    """One table that is watched.

    Attributes:
        contract: the table.
        rows: when the number of rows is out of the ordinary; likewise `freshness`, `null_rate`.
        leave_out: columns whose gaps do not matter.
    """

    contract: TableContract
    rows: RowsLimit
    freshness: Limit
    null_rate: NullLimit
    leave_out: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.contract.name

    def limit(self, metric: str) -> Limit:
        """The limit of a metric."""
        found: Limit = getattr(self, metric)
        return found


@dataclass(frozen=True)
class MonitoringRules:
    """`conf/monitoring.yaml`; the names are those of its keys."""

    weeks: int
    min_history: int
    judge_days: int
    settle_days: int
    tables: dict[str, Watch]
    fingerprint: str

    @property
    def look_back(self) -> int:
        """Days before the run date that are read."""
        return 7 * self.weeks + self.judge_days + self.settle_days

    @classmethod
    def load(cls, conf: Conf) -> MonitoringRules:
        """The rules in force.

        Raises:
            ConfigError: a wrong key, value, table or column, with file, line and what exists.
        """
        document = conf.document(RULES)
        file = yamlfile.parse(document, _File)
        if file.min_history > file.weeks:
            said = f"there are never {file.min_history} days in {file.weeks} weeks"
            raise document.error(f"`min_history`: {said}", "min_history")
        tables = {}
        for name, given in file.tables.items():
            contract, part = _contract(document, name), given or _TablePart()
            _check_columns(document, contract, part.leave_out)
            tables[name] = Watch(
                contract,
                RowsLimit(**_over(file.rows, part.rows)),
                Limit(**_over(file.freshness, part.freshness)),
                NullLimit(**_over(file.null_rate, part.null_rate)),
                part.leave_out,
            )
        mark = hashlib.sha256(file.model_dump_json().encode()).hexdigest()[:16]
        return cls(file.weeks, file.min_history, file.judge_days, file.settle_days, tables, mark)


def _over(under: BaseModel, over: BaseModel) -> dict[str, Any]:
    return under.model_dump() | over.model_dump(exclude_none=True)


def _contract(document: yamlfile.Document, name: str) -> TableContract:
    known = [t for t in contracts.all_tables() if not t.startswith("operations.")]
    if name in known:
        return contracts.table(name)
    near = difflib.get_close_matches(name, known, 1)
    hint = f" (did you mean `{near[0]}`?)" if near else ""
    said = f"no table `{name}` can be watched{hint}; there are {', '.join(sorted(known))}"
    raise document.error(said, "tables", name)


def _check_columns(
    document: yamlfile.Document, contract: TableContract, names: tuple[str, ...]
) -> None:
    known = watched_columns(contract)
    for name in names:
        if name not in known:
            said = f"{contract.name} has no column `{name}` that may be empty; it has {', '.join(known)}"
            raise document.error(said, "tables", contract.name, "except")


def watched_columns(contract: TableContract) -> list[str]:
    """Columns whose gaps are counted: those that may be empty and are no lists or lineage."""
    return [
        c.name
        for c in contract.columns
        if not (c.required or c.name.startswith("_") or c.type.startswith(("ARRAY", "MAP")))
    ]
