"""Spark SQL expressions of conf/ that are pure: nothing but the row they are given, and no clock.

Spark's own parser reads them and its own function registry tells what a function is; no data is
read and nothing is evaluated.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from pyspark.errors import ParseException
from pyspark.sql import SparkSession

PURE = frozenset(
    f"{group}_funcs"
    for group in (
        *("array", "bitwise", "collection", "conditional", "conversion", "datetime", "hash"),
        *("json", "lambda", "map", "math", "predicate", "string", "struct", "url"),
        *("csv", "variant", "xml"),
    )
)
"""Groups of Spark's built-in functions that a rule may use."""

AGGREGATES = frozenset({"agg_funcs", "window_funcs", "generator_funcs"})

CLOCK = frozenset(
    {
        *("curdate", "current_date", "current_time", "current_timestamp", "current_timezone"),
        *("localtimestamp", "now", "session_window", "window", "window_time", "time_bucket"),
    }
)
"""Functions of the allowed groups that read the clock or the session."""

CHANCE = frozenset({"rand", "randn", "random", "randstr", "shuffle", "uniform"})


class Purity:
    """Tells what is impure about an expression.

    Args:
        spark: the session whose parser and functions are asked.
        unknown: what is wrong with the name of a column, or None; default: any name will do.
        instead: what to take instead of the clock, as the end of a sentence.
    """

    def __init__(
        self,
        spark: SparkSession,
        unknown: Callable[[str], str | None] | None = None,
        instead: str = "",
    ):
        self._instead = instead
        self._jvm: Any = spark._jvm  # noqa: SLF001
        self._parser = spark._jsparkSession.sessionState().sqlParser()  # noqa: SLF001
        self._unknown = unknown

    def wrong(self, text: str) -> str | None:
        """What is wrong with an expression, in a sentence; None when nothing is."""
        try:
            tree = self._parser.parseExpression(text)
        except ParseException as e:
            return f"not a valid expression: {sentence(e)}"
        return self._wrong(tree)

    def _wrong(self, node: Any) -> str | None:
        """What is wrong with a parsed expression or its parts; None when nothing is."""
        kind = str(node.getClass().getSimpleName()).rstrip("$")
        if "Subquery" in kind or kind in ("Exists", "ListQuery"):
            return "a rule sees one row; queries inside it are not allowed"
        if "Window" in kind:
            return "a rule sees one row; window functions (OVER) are not allowed"
        if kind == "UnresolvedStar":
            return "`*` is no value; name a column"
        if kind == "UnresolvedFunction":
            wrong = self._wrong_function(node)
            if wrong:
                return wrong
        if kind == "UnresolvedAttribute" and self._unknown is not None:
            wrong = self._unknown(str(node.nameParts().apply(0)))
            if wrong:
                return wrong
        children = node.children()
        found = (self._wrong(children.apply(i)) for i in range(children.size()))
        return next((w for w in found if w), None)

    def _wrong_function(self, node: Any) -> str | None:
        parts = node.nameParts()
        name = ".".join(str(parts.apply(i)) for i in range(parts.size())).lower()
        if name in CLOCK or (name == "unix_timestamp" and not node.arguments().size()):
            return f"`{name}` reads the clock{self._instead}"
        if name in CHANCE:
            return f"`{name}` gives another value each time"
        catalyst = self._jvm.org.apache.spark.sql.catalyst
        known = catalyst.analysis.FunctionRegistry.builtin()
        info = known.lookupFunction(catalyst.FunctionIdentifier(name))
        if not info.isDefined():
            names = known.listFunction()
            every = [str(names.apply(i).funcName()) for i in range(names.size())]
            near = difflib.get_close_matches(name, every, 3)
            hint = f"; did you mean {' or '.join(f'`{n}`' for n in near)}?" if near else ""
            return f"there is no function `{name}`{hint}"
        group = str(info.get().getGroup())
        if group in AGGREGATES:
            return f"a rule sees one row; `{name}` needs many or makes many"
        if group not in PURE:
            return f"`{name}` is not allowed in rules: it can reach outside the row"
        return None


def sentence(error: Exception) -> str:
    """What Spark says of an expression, without its codes and plans."""
    text = str(error).strip().splitlines()[0].split(";\n")[0]
    if text.startswith("["):
        text = text.split("] ", 1)[-1]
    text = text.split(" SQLSTATE:")[0]
    return text.rstrip(" .;")[:300]
