"""The tables of the lake: one module per table, gathered here by name."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from lakecdp.contracts.table import Column, TableContract, column

__all__ = ["Column", "TableContract", "all_tables", "column", "table"]


@cache
def all_tables() -> dict[str, TableContract]:
    """Every table with a fixed name, by name. Bronze source tables come from `bronze_source`."""
    found: dict[str, TableContract] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        contract = getattr(importlib.import_module(f"{__name__}.{module}"), "CONTRACT", None)
        if isinstance(contract, TableContract):
            found[contract.name] = contract
    return found


def table(name: str) -> TableContract:
    """The contract of a table; `bronze.<source>` tables share one contract.

    Raises:
        KeyError: there is no such table.
    """
    found = all_tables().get(name)
    if found is None and name.startswith("bronze."):
        from lakecdp.contracts.bronze_source import for_source

        return for_source(name.removeprefix("bronze."))
    if found is None:
        raise KeyError(f"no table {name}; the tables are {', '.join(sorted(all_tables()))}")
    return found
