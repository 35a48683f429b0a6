"""SQL over the published tables of the lake."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import VariantType
from rich.console import Console
from rich.table import Table

from lakecdp import contracts
from lakecdp.platform.errors import UsageError
from lakecdp.platform.fs import java_message
from lakecdp.platform.job import Job
from lakecdp.platform.ledger import TABLE as LEDGER
from lakecdp.platform.ledger import newest_first

_NAME = re.compile(r"\b(bronze|silver|identity|gold|operations)\s*\.\s*`?([a-z][a-z0-9_]*)`?", re.I)
_READS = re.compile(
    r"^\s*(--[^\n]*\n\s*)*(select|with|describe|desc|show|explain|values|from)\b", re.I
)


def versions_at(job: Job, as_of: date | None) -> dict[str, int]:
    """Published table versions now, or at the end of a day.

    Raises:
        UsageError: nothing was published by then.
    """
    if as_of is None:
        return dict(job.ledger.published)
    rows = job.lake.read(LEDGER).where(F.to_date("finished_at") <= F.lit(as_of))
    last = newest_first(rows).select("published").first()
    if last is None:
        raise UsageError(f"Nothing was published up to {as_of}.")
    return dict(last["published"])


def query(
    job: Job, text: str, as_of: date | None = None, links_of: date | None = None
) -> DataFrame:
    """Run one SELECT over tables named like `silver.order`.

    Args:
        job: the lake.
        text: the statement.
        as_of: the tables as published by the end of this day; None for now.
        links_of: the tables of now, with customers as the links of this day make them.

    Raises:
        UsageError: not a query, an unknown table or column, or a wrong expression.
    """
    if not _READS.match(text):
        raise UsageError("Only queries are run: the statement must begin with SELECT or WITH.")
    if as_of and links_of:
        raise UsageError("--as-of and --links-of ask for different things: give one of them.")
    published = versions_at(job, as_of)
    if job.lake.version(LEDGER) is not None:
        published[LEDGER] = int(job.lake.version(LEDGER) or 0)
    links = None
    if links_of:
        from lakecdp.as_of import LinksOf

        links = LinksOf(job, links_of)
    for schema, table in {(m[0].lower(), m[1].lower()) for m in _NAME.findall(text)}:
        name = f"{schema}.{table}"
        if name not in published:
            raise UsageError(f"There is no table {name}; there are {', '.join(sorted(published))}.")
        if links is not None and links.knows(name):
            view = f"{schema}_{table}_with_links_of_a_day"
            links.read(name).createOrReplaceTempView(view)
            text = _renamed(text, name, view)
            continue
        rows = f"delta.`{job.lake.path(name)}` VERSION AS OF {published[name]}"
        there = set(job.spark.sql(f"SELECT * FROM {rows}").columns)
        gained = [
            f", CAST(NULL AS {c.type}) AS `{c.name}`"
            for c in contracts.table(name).all_columns
            if c.name not in there
        ]
        job.spark.sql(f"CREATE DATABASE IF NOT EXISTS {schema}")
        job.spark.sql(
            f"CREATE OR REPLACE VIEW {schema}.`{table}` AS SELECT *{''.join(gained)} FROM {rows}"
        )
    try:
        return _readable(job.spark.sql(text))
    except Exception as e:
        raise UsageError(f"The query cannot be run: {java_message(e)}") from None


def _renamed(text: str, name: str, view: str) -> str:
    """The statement with a view in place of a table."""
    return _NAME.sub(lambda m: view if f"{m[1]}.{m[2]}".lower() == name else m[0], text)


def _readable(frame: DataFrame) -> DataFrame:
    variants = [f.name for f in frame.schema.fields if isinstance(f.dataType, VariantType)]
    return frame.withColumns({n: F.to_json(n) for n in variants}) if variants else frame


def show(frame: DataFrame, how: str, console: Console, limit: int | None = None) -> None:
    """Print rows as a table, CSV or JSON lines."""
    rows = [r.asDict(recursive=True) for r in (frame.limit(limit) if limit else frame).collect()]
    names = frame.columns
    if how == "json":
        for row in rows:
            console.out(json.dumps(row, default=str, ensure_ascii=False))
    elif how == "csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([[_cell(row[n]) for n in names] for row in rows])
        console.out(out.getvalue(), end="")
    else:
        table = Table(box=None, pad_edge=False)
        for field in frame.schema.fields:
            number = field.dataType.typeName() in ("integer", "long", "decimal", "double", "float")
            table.add_column(field.name, justify="right" if number else "left", overflow="fold")
        for row in rows:
            table.add_row(*[_cell(row[n]) for n in names])
        console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def tables(job: Job) -> DataFrame:
    """The published tables.

    Returns:
        One row per table: table STRING, version BIGINT, rows BIGINT, grain STRING.
    """
    found = []
    for name, version in sorted(job.ledger.published.items()):
        rows = job.lake.read(name, version).count()
        found.append((name, version, rows, contracts.table(name).grain))
    return job.spark.createDataFrame(
        found, "table string, version bigint, rows bigint, grain string"
    )
