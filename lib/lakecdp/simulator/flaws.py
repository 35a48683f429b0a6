"""Copies, late deliveries and unreadable twins of records."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.simulator.randomness import lookup
from lakecdp.simulator.world import World, add

RECORD, DUPLICATE, MALFORMED = 0, 1, 2


def delivered(
    frame: DataFrame, world: World, source: str, keys: Sequence[str], kinds: Sequence[str]
) -> DataFrame:
    """One row per line of the deliveries asked for.

    Every record stays; some are delivered late, some twice, and some have an unreadable twin with
    an id of its own.

    Args:
        frame: Records with a column `day` INT (local day they belong to) and the key columns.
        world: The company and the deliveries asked for.
        source: Source name; its draws are its own.
        keys: Columns (BIGINT or INT) that identify a record.
        kinds: Kinds of malformed records of this source.

    Returns:
        The frame with copy INT (RECORD, DUPLICATE or MALFORMED), delivery INT (day of the
        delivery) and planted STRING (duplicate, late, a kind, or NULL).
    """
    flaws, draw = world.settings.flaws, world.draw
    fate = draw.uniform(f"{source} flaw", *keys)
    broken = flaws.duplicate_share + flaws.malformed_share

    def lag(share: float, purpose: str) -> str:
        days = f"1 + {draw.integer(flaws.late_days, f'{source} {purpose} days', *keys)}"
        return f"if({draw.happens(share, f'{source} {purpose}', *keys)}, {days}, 0)"

    frame = add(
        frame,
        copy=f"""explode(case when {fate} < {flaws.duplicate_share!r}D
            then array({RECORD}, {DUPLICATE})
            when {fate} < {broken!r}D then array({RECORD}, {MALFORMED})
            else array({RECORD}) end)""",
    )
    late = lag(flaws.late_share, "late")
    again = lag(flaws.duplicate_later_share, "again")
    frame = add(
        frame,
        delivery=world.delivery_sql(
            f"(greatest(day, 0) + if(copy = {MALFORMED}, 0, {late}) "
            f"+ if(copy = {DUPLICATE}, {again}, 0))"
        ),
    ).where(f"delivery between {world.first} and {world.last}")
    kind = lookup(list(kinds), draw.integer(len(kinds), f"{source} kind", *keys))
    return add(
        frame,
        planted=f"""case when copy = {DUPLICATE} then 'duplicate'
            when copy = {MALFORMED} then {kind}
            when delivery > {world.delivery_sql("greatest(day, 0)")} then 'late' end""",
    )


def damaged_json(line: str, damages: dict[str, str]) -> str:
    """SQL for a JSON line, damaged as the column `planted` says.

    Args:
        line: SQL of the sound line.
        damages: SQL of the damaged line by kind, besides broken_json and nul_byte.
    """
    cases = [
        f"when 'broken_json' then substr({line}, 1, cast(length({line}) * 0.7 as int))",
        f"""when 'nul_byte' then replace({line}, '"event":"', concat('"event":"', char(0)))""",
        *(f"when '{kind}' then {sql}" for kind, sql in damages.items()),
    ]
    return f"case planted {' '.join(cases)} else {line} end"


def csv_line(fields: dict[str, str], damages: dict[str, dict[str, str]]) -> str:
    """SQL for a CSV line, damaged as the column `planted` says.

    Args:
        fields: SQL of each field as text, in order; NULL is written as nothing.
        damages: By kind, the SQL of the fields that are wrong; short_line and long_line are known.
    """

    def value(name: str) -> str:
        wrong = [f"when '{kind}' then {new[name]}" for kind, new in damages.items() if name in new]
        sql = fields[name]
        return f"case planted {' '.join(wrong)} else {sql} end" if wrong else sql

    texts = [f"coalesce({value(name)}, '')" for name in fields]
    whole = f"concat_ws(',', {', '.join(texts)})"
    short = f"concat_ws(',', {', '.join(texts[: len(texts) // 2])})"
    return f"""case planted when 'short_line' then {short}
        when 'long_line' then concat({whole}, ',1,extra,') else {whole} end"""


def quoted(value: str) -> str:
    """SQL for a CSV field in quotes where it needs them."""
    inner = f"""replace({value}, '"', '""')"""
    return f"""if({value} rlike '[,"]', concat('"', {inner}, '"'), {value})"""


def planted(frame: DataFrame, world: World, source: str, key: str) -> DataFrame:
    """One row per planted flaw: source, kind, key, day (all of the delivered line), delivery INT.

    Args:
        frame: Result of `delivered`, with what the key needs; a column `traffic` (ARRAY<STRING>) has
            the kinds of invalid traffic that a record is.
        world: The company.
        source: Name of the source.
        key: SQL of the key as it stands in the file.
    """
    kinds = "array(planted)"
    if "traffic" in frame.columns:
        kinds = f"concat({kinds}, traffic)"
    return frame.select(
        F.lit(source).alias("source"),
        F.explode(F.expr(f"array_compact({kinds})")).alias("kind"),
        F.expr(key).alias("key"),
        F.expr(world.date_sql("delivery")).alias("day"),
        "delivery",
    )
