"""Rules as Spark SQL expressions, checked before anything runs.

An expression may use the documented columns of one row and functions that depend on nothing else:
no aggregate, no other row, no other table, no clock, no chance, nothing outside SQL. Spark itself
parses it and resolves its types against a frame without rows; no data is read.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.contracts import TableContract
from lakecdp.platform.yamlfile import Document

Place = Sequence[str | int]

PURE = frozenset(
    f"{group}_funcs"
    for group in (
        *("array", "bitwise", "collection", "conditional", "conversion", "datetime", "hash"),
        *("json", "lambda", "map", "math", "predicate", "string", "struct", "url"),
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

PLAIN = (
    "STRING",
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INT",
    "BIGINT",
    "DECIMAL",
    "DOUBLE",
    "FLOAT",
    "DATE",
)


class Checker:
    """Checks expressions over the columns of one table.

    Args:
        spark: the session that parses them.
        contract: the table; its columns that begin with `_` are not for rules.
        extra: further columns, name -> type, such as `as_of`.
    """

    def __init__(self, spark: SparkSession, contract: TableContract, extra: Mapping[str, str]):
        types = {c.name: c.type for c in contract.columns if not c.name.startswith("_")} | dict(
            extra
        )
        columns = ", ".join(f"CAST(NULL AS {kind}) AS `{name}`" for name, kind in types.items())
        self.names = list(types)
        self._table = contract.name
        self._frame: DataFrame = spark.sql(f"SELECT {columns} WHERE false")
        self._jvm: Any = spark._jvm  # noqa: SLF001
        self._parser = spark._jsparkSession.sessionState().sqlParser()  # noqa: SLF001

    def check(self, text: str, document: Document, at: Place, *, wants: str | None = None) -> None:
        """Refuse an expression that is not a pure function of one row.

        Args:
            text: the expression.
            document: the file it stands in.
            at: its place there.
            wants: the type it must give, such as BOOLEAN; default any plain value.

        Raises:
            ConfigError: with file, line, what is wrong and what there is.
        """
        try:
            tree = self._parser.parseExpression(text)
        except ParseException as e:
            raise document.error(f"not a valid expression: {sentence(e)}", *at) from None
        wrong = self._wrong(tree)
        if wrong:
            raise document.error(wrong, *at)
        try:
            result = self._frame.select(F.expr(text).alias("value"))
        except AnalysisException as e:
            raise document.error(f"Spark refuses the expression: {sentence(e)}", *at) from None
        outputs = result._jdf.queryExecution().analyzed().expressions()  # noqa: SLF001
        if not all(outputs.apply(i).deterministic() for i in range(outputs.size())):
            raise document.error("the expression must give the same value each time", *at)
        kind = result.schema["value"].dataType.simpleString().upper()
        if wants is not None and kind != wants:
            raise document.error(f"the expression must give {wants}; this one gives {kind}", *at)
        if kind.split("(")[0] not in PLAIN:
            message = (
                f"the expression must give a text, number, boolean or date; this one gives {kind}"
            )
            raise document.error(message, *at)

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
        if kind == "UnresolvedAttribute" and node.nameParts().apply(0).lower() not in self.names:
            return self._unknown(str(node.nameParts().apply(0)))
        children = node.children()
        found = (self._wrong(children.apply(i)) for i in range(children.size()))
        return next((w for w in found if w), None)

    def _wrong_function(self, node: Any) -> str | None:
        parts = node.nameParts()
        name = ".".join(str(parts.apply(i)) for i in range(parts.size())).lower()
        if name in CLOCK or (name == "unix_timestamp" and not node.arguments().size()):
            return f"`{name}` reads the clock; the day that a run stands for is the column `as_of`"
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

    def _unknown(self, name: str) -> str:
        if name.lower() in CLOCK:
            return f"`{name}` reads the clock; the day that a run stands for is the column `as_of`"
        near = difflib.get_close_matches(name.lower(), self.names, 5, 0.5)
        rest = [n for n in self.names if n not in near]
        return f"{self._table} has no column `{name}`; it has {', '.join([*near, *rest])}"


def sentence(error: Exception) -> str:
    """What Spark says of an expression, without its codes and plans."""
    text = str(error).strip().splitlines()[0].split(";\n")[0]
    if text.startswith("["):
        text = text.split("] ", 1)[-1]
    text = text.split(" SQLSTATE:")[0]
    return text.rstrip(" .;")[:300]
