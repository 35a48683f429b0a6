"""Identifiers that several persons use or that belong to nobody, and the truth about them."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.simulator import catalogue
from lakecdp.simulator.people import cookie_id, device_id
from lakecdp.simulator.randomness import text
from lakecdp.simulator.world import World, add


def lent(frame: DataFrame, world: World, own: str) -> DataFrame:
    """Visits with whose device or browser they are on, and under whose account.

    Adds owner BIGINT (a person, or below 0 a tablet in a store) and account BIGINT (the person
    whose account is in use if any is; another one than pid only while that one is a member).

    Args:
        frame: Visits with h, day, begin, channel and kiosk, and the columns of `persons`.
        world: The company.
        own: SQL condition for visits that are never on somebody else's device.
    """
    shape, draw = world.settings.identifiers, world.draw
    borrows = draw.happens(shape.borrow_share, "borrow", "h")
    under = draw.happens(shape.borrow_login_share, "account of the other", "h")
    tablet = draw.integer(shape.kiosks, "tablet", "h")
    frame = add(
        frame,
        owner=f"""case when kiosk then -1L - {tablet}
            when other is not null and channel <> 'store' and not ({own})
                and day >= other_entry and {borrows} then other
            else pid end""",
    )
    return add(
        frame,
        account=f"if(owner = other and begin >= other_reg_ms and day < other_churn - 1 and {under}, "
        "other, pid)",
    )


def spoiled(world: World, kind: str, value: str, *keys: str) -> str:
    """SQL for an identifier, or in some rows for one that identifies nobody.

    Args:
        world: The company.
        kind: Type of the identifier.
        value: SQL of the sound value, never NULL.
        keys: Keys of the draw.
    """
    shape, draw = world.settings.identifiers, world.draw
    fate = draw.uniform(f"junk {kind}", *keys)
    known = draw.choice(catalogue.JUNK[kind], f"which junk {kind}", *keys)
    unknown = draw.choice(catalogue.UNLISTED_JUNK[kind], f"which unlisted {kind}", *keys)
    both = shape.junk_share + shape.unlisted_junk_share
    return f"""case when {fate} < {shape.junk_share!r}D then {known}
        when {fate} < {both!r}D then {unknown} else {value} end"""


def store_phone(city: str, store: str) -> str:
    """SQL for the phone number of a store: cities and stores from 0."""
    return f"concat('177', lpad(cast(6500000L + {city} * 100L + {store} as string), 8, '0'))"


def truth_nobody(spark: SparkSession, world: World) -> DataFrame:
    """One row per identifier that may be in the files and belongs to no person.

    type, value STRING (as in person_identifier), kind kiosk | store_phone | junk | unlisted_junk.
    Robots are in the table crawler.
    """
    shape = world.settings.identifiers
    found = [
        (kind, f"+86{value}" if kind == "phone" else value, name)
        for name, lists in (("junk", catalogue.JUNK), ("unlisted_junk", catalogue.UNLISTED_JUNK))
        for kind, values in lists.items()
        for value in values
    ]
    rows = [
        f"struct({text(k)} as type, {text(v)} as value, {text(n)} as kind)" for k, v, n in found
    ]
    lists = spark.range(1).select(F.expr(f"explode(array({', '.join(rows)}))").alias("row"))
    tablets = spark.range(shape.kiosks).select(
        F.lit("device_id").alias("type"),
        F.expr(device_id(world, "0", "(-1L - id)")).alias("value"),
        F.lit("kiosk").alias("kind"),
    )
    each = world.settings.store.stores_per_city
    number = store_phone(f"(id div {each})", f"(id % {each})")
    stores = spark.range(each * len(catalogue.CITIES)).select(
        F.lit("phone").alias("type"),
        F.expr(f"concat('+86', {number})").alias("value"),
        F.lit("store_phone").alias("kind"),
    )
    return lists.select("row.*").union(tablets).union(stores)


def truth_borrowed(visited: DataFrame, world: World) -> DataFrame:
    """One row per visit on the device or browser of the other person of the household.

    person_id, owner_id BIGINT, type, value STRING, account_id BIGINT (whose account could be in
    use), day DATE, delivery INT.
    """
    kind = "if(channel = 'app', 'device_id', 'cookie')"
    value = (
        f"if(channel = 'app', {device_id(world, '0', 'other')}, {cookie_id(world, '0', 'other')})"
    )
    return visited.where("other is not null and owner = other").select(
        F.col("pid").alias("person_id"),
        F.col("owner").alias("owner_id"),
        F.expr(kind).alias("type"),
        F.expr(value).alias("value"),
        F.col("account").alias("account_id"),
        F.expr(world.date_sql("day")).alias("day"),
        F.expr(world.delivery_sql("day")).alias("delivery"),
    )
