"""Rules as Spark SQL expressions, checked before anything runs.

An expression may use the documented columns of one row and functions that depend on nothing else:
no aggregate, no other row, no other table, no clock, no chance, nothing outside SQL. Spark itself
parses it and resolves its types against a frame without rows; no data is read.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.contracts import TableContract
from lakecdp.platform.expressions import CLOCK, Purity, sentence
from lakecdp.platform.yamlfile import Document

Place = Sequence[str | int]

AS_OF = "; the day that a run stands for is the column `as_of`"

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
        self._purity = Purity(spark, self._unknown, AS_OF)

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
        wrong = self._purity.wrong(text)
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

    def _unknown(self, name: str) -> str | None:
        if name.lower() in self.names:
            return None
        if name.lower() in CLOCK:
            return f"`{name}` reads the clock{AS_OF}"
        near = difflib.get_close_matches(name.lower(), self.names, 5, 0.5)
        rest = [n for n in self.names if n not in near]
        return f"{self._table} has no column `{name}`; it has {', '.join([*near, *rest])}"
