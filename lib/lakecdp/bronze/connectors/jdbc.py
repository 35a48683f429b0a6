"""Tables and views of databases, pulled through Spark's JDBC source by a watermark column."""

from __future__ import annotations

from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from lakecdp.bronze.connectors.config import JdbcInput, environment
from lakecdp.bronze.connectors.overlap import (
    Landed,
    Mark,
    Reach,
    news,
    placed,
    position_after,
    window,
)
from lakecdp.bronze.connectors.pull import Position, Pull, as_text, without
from lakecdp.platform.errors import LakecdpError
from lakecdp.platform.fs import java, java_message

ORDER = "_order"


def pull(spark: SparkSession, config: JdbcInput, position: Position, landed: Landed) -> Pull:
    """The rows that are new or changed since the last pull.

    The highest watermark is asked for first, and nothing above it is read: what changes meanwhile
    gets a higher one and comes with the next pull. From below, rows are read again from the last
    watermark less the overlap, and what has landed is dropped. Rows without a watermark are read
    each time.

    Args:
        spark: the session.
        config: the table.
        position: of the last pull.
        landed: the records that landed, from a pull on.

    Raises:
        LakecdpError: the database does not answer or has no such table or column, the watermark is
            no time or number, or the key does not tell rows apart.
    """
    secrets: list[str] = []
    try:
        return _pull(_Database(spark, config, secrets), position, landed)
    except LakecdpError as e:
        raise LakecdpError(without(str(e), secrets)) from None
    except Exception as e:
        said = java_message(e)
        if "No suitable driver" in said or "ClassNotFound" in str(e):
            said = (
                "no JDBC driver for its URL is on the class path: add the driver's jar by "
                "`spark.jars.packages`"
            )
        raise LakecdpError(f"{config.place}: {without(said, secrets)}") from None


class _Database:
    def __init__(self, spark: SparkSession, config: JdbcInput, secrets: list[str]):
        self.spark, self.config = spark, config
        self.url = environment(config.url_env)
        login = {"user": config.user_env, "password": config.password_env}
        self._login = {name: environment(var) for name, var in login.items() if var}
        secrets += [self.url, self._login.get("password", "")]

    def reader(self, query: str) -> DataFrameReader:
        return (
            self.spark.read.format("jdbc")
            .options(fetchsize="10000", preferTimestampNTZ="true", **self._login)
            .options(**self.config.options)
            .option("url", self.url)
            .option("dbtable", f"({query}) lakecdp_pull")
        )

    def quoted(self, name: str) -> str:
        """A name of a column as its dialect writes it."""
        dialect = java(self.spark).org.apache.spark.sql.jdbc.JdbcDialects.get(self.url)
        return str(dialect.quoteIdentifier(name))

    def literal(self, mark: Mark) -> str:
        """A watermark as the database reads it: the text tells time and offset."""
        if mark.kind == "number":
            return mark.text
        word = "DATE " if mark.kind == "date" else "TIMESTAMP "
        return (word if self.url.startswith("jdbc:oracle:") else "") + f"'{mark.text}'"


def _pull(base: _Database, position: Position, landed: Landed) -> Pull:
    config = base.config
    of = f"{config.table} by {config.watermark}"
    reach = window(config, position, of)
    high, kind, blanks = (None, "", True) if config.watermark is None else _highest(base)
    if config.watermark is not None and high is None and not blanks:
        return Pull(None, position)
    rows = _rows(base, reach, high, kind)
    fresh, read = news(rows, landed(reach.first), config.key, last_wins=False)
    count = fresh.count()
    blank = config.watermark is None or not fresh.where(F.col("order") == "").isEmpty()
    after = position_after(reach, of, high=high, blank=blank, landed=count > 0)
    if not count:
        return Pull(None, after if position else position, again=read)
    ready = placed(fresh, reach.pull, config.table)
    return Pull(ready, after, count, again=read - count, bytes=count * 300)


def _highest(base: _Database) -> tuple[Mark | None, str, bool]:
    """The highest watermark in the table, its kind, and whether rows have none."""
    column = base.quoted(str(base.config.watermark))
    ask = f"SELECT max({column}) AS high, count(*) - count({column}) AS blank FROM {base.config.table}"
    found = base.reader(ask).load().toDF("high", "blank")
    kind = _kind(found.schema["high"].dataType, base.config)
    row = found.select(F.col("high").cast("string"), "blank").first()
    assert row is not None
    text = row[0] if row[0] is None or kind != "timestamp" else f"{row[0]}+00:00"
    return (None if text is None else Mark(kind, text)), kind, bool(row[1])


def _kind(found: T.DataType, config: JdbcInput) -> str:
    if isinstance(found, T.IntegralType | T.DecimalType):
        return "number"
    for kind, types in (
        ("date", T.DateType),
        ("timestamp", T.TimestampType),
        ("timestamp_ntz", T.TimestampNTZType),
    ):
        if isinstance(found, types):
            return kind
    raise LakecdpError(
        f"{config.place}: the watermark {config.watermark} is of type {found.simpleString()}; take "
        "a column of times, dates or whole numbers"
    )


def _rows(base: _Database, reach: Reach, high: Mark | None, kind: str) -> DataFrame:
    """The rows to look at: value, order (the watermark as text, empty where there is none)."""
    config = base.config
    query = f"SELECT * FROM {config.table}"
    if config.watermark is None:
        return as_text(base.reader(query).load()).withColumn("order", F.lit(""))
    column = base.quoted(config.watermark)
    limits = [f"{column} <= {base.literal(high)}"] if high is not None else []
    if reach.low is not None:
        limits.append(f"{column} >= {base.literal(reach.low)}")
    if limits:
        query += f" WHERE ({' AND '.join(limits)}) OR {column} IS NULL"
    reader = base.reader(query)
    if config.partitions > 1 and high is not None:
        low = reach.low or _lowest(base, kind)
        reader = reader.options(
            partitionColumn=column,
            lowerBound=_bound(low),
            upperBound=_bound(high),
            numPartitions=str(config.partitions),
        )
    rows = reader.load()
    name = next(c for c in rows.columns if c.lower() == config.watermark.lower())
    return as_text(
        rows.withColumn(ORDER, F.coalesce(F.col(f"`{name}`").cast("string"), F.lit(""))), ORDER
    ).withColumnRenamed(ORDER, "order")


def _lowest(base: _Database, kind: str) -> Mark:
    column = base.quoted(str(base.config.watermark))
    ask = f"SELECT min({column}) AS low FROM {base.config.table}"
    row = base.reader(ask).load().toDF("low").select(F.col("low").cast("string")).first()
    assert row is not None
    return Mark(kind, row[0])


def _bound(mark: Mark) -> str:
    """A bound of Spark's partitions: whole numbers, and times in the zone of its session, UTC."""
    return str(int(mark.value)) if mark.kind == "number" else mark.text.removesuffix("+00:00")
