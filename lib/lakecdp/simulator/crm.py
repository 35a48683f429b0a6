"""Member records of the CRM system, as CSV lines."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.simulator import catalogue
from lakecdp.simulator.flaws import MALFORMED, RECORD, csv_line, delivered, planted, quoted
from lakecdp.simulator.people import (
    NEVER,
    device_id,
    member_id,
    persons,
    phone,
    portrait,
    spelled_email,
    spelled_phone,
)
from lakecdp.simulator.randomness import lookup
from lakecdp.simulator.sharing import spoiled
from lakecdp.simulator.world import World, add

SOURCE = "crm"
KINDS = ("short_line", "long_line", "impossible_date", "nul_byte")
KEY = "concat(member_id, '@', updated_at)"
HEADER = (
    *("member_id", "name", "phone", "email", "gender", "birthday", "city", "province"),
    *("registered_at", "level", "device_id", "updated_at"),
)


def records(spark: SparkSession, world: World) -> DataFrame:
    """One row per line of crm in the deliveries asked for, not yet written out.

    A member has a record at registration and another at each change of phone or level. What
    happened before the period comes with the first delivery.
    """
    draw, mistakes = world.draw, world.settings.identifiers.mistaken_share
    frame = persons(spark, world).where(f"reg <= {world.last}")
    wait = draw.uniform("level wait", "pid")
    # Frequent buyers rise; the others stay where they are.
    rises = "buyer and cycle < 45D"
    frame = add(
        frame,
        silver=f"if({rises}, reg + 5 + cast(cycle * (2D + 2D * {wait}) as int), {NEVER})",
        gold=f"if({rises} and cycle < 25D, "
        f"reg + 9 + cast(cycle * (6D + 4D * {wait}) as int), {NEVER})",
    )
    known = f"{NEVER} > {{0}} and {{0}} > reg and {{0}} < churn and {{0}} <= {world.last}"
    changes = [
        f"if({known.format(name)}, {name}, null)" for name in ("phone_change", "silver", "gold")
    ]
    moments = f"array_distinct(array_compact(array(reg, {', '.join(changes)})))"
    frame = frame.withColumn("at", F.expr(f"explode({moments})"))
    second = draw.second_of_day(world.settings.behaviour.hour_weights, "change", "pid", "at")
    frame = add(
        frame,
        day="at",
        ms=f"if(at = reg, reg_ms, (at * 86400L + {second}) * 1000L)",
        level=f"if(at >= gold, '{catalogue.LEVELS[2]}', if(at >= silver, '{catalogue.LEVELS[1]}', "
        f"'{catalogue.LEVELS[0]}'))",
        # Somebody who was there before the period, so that it does not depend on its end.
        stranger=f"cast(pmod({draw.bits('stranger', 'pid', 'at')}, {max(1, world.earlier)}L) "
        "as bigint)",
        wrong_phone=draw.happens(mistakes, "wrong phone", "pid", "at"),
        wrong_device=draw.happens(mistakes, "wrong device", "pid", "at"),
    )
    own = f"if(at >= phone_change, {phone('1')}, {phone('0')})"
    device = f"if(style < 0.6D, {device_id(world, '0')}, null)"
    frame = add(
        frame,
        number=f"if(wrong_phone, {phone('0', 'stranger')}, {own})",
        device=f"if(wrong_device, {device_id(world, '0', 'stranger')}, {device})",
    )
    frame = delivered(frame, world, SOURCE, ["pid", "at"], KINDS)
    twin = f"copy = {MALFORMED}"
    return add(
        frame,
        member_id=f"if({twin}, concat('X', {member_id()}), {member_id()})",
        updated_at=world.clock_sql("ms"),
    )


def lines(frame: DataFrame, world: World) -> DataFrame:
    """The lines of `records`: value STRING, delivery INT."""
    frame = portrait(frame, world)
    cities = [city for city, *_ in catalogue.CITIES]
    provinces = [province for _, province, _ in catalogue.CITIES]
    fields = {
        "member_id": "member_id",
        "name": quoted("name"),
        "phone": spoiled(world, "phone", spelled_phone(world, "number", "pid", "at"), "pid"),
        "email": spoiled(world, "email", spelled_email(world, "email", "pid", "at"), "pid"),
        "gender": "gender",
        "birthday": "cast(birthday as string)",
        "city": lookup(cities, "city"),
        "province": lookup(provinces, "city"),
        "registered_at": world.clock_sql("reg_ms"),
        "level": "level",
        "device_id": "device",
        "updated_at": "updated_at",
    }
    damages = {
        "impossible_date": {"registered_at": "'2026-02-30 25:61:00'"},
        "nul_byte": {"city": "concat(char(0), 'x')"},
    }
    return frame.select(F.expr(csv_line(fields, damages)).alias("value"), "delivery")


def mistakes(records: DataFrame, world: World) -> DataFrame:
    """One row per phone or device of somebody else in `records`: the columns of `planted`.

    kind is wrong_phone or wrong_device.
    """
    kinds = "array_compact(array(if(wrong_phone, 'wrong_phone', null), "
    kinds += "if(wrong_device, 'wrong_device', null)))"
    wrong = records.where(f"(wrong_phone or wrong_device) and stranger <> pid and copy = {RECORD}")
    wrong = wrong.withColumn("planted", F.explode(F.expr(kinds)))
    return planted(wrong, world, SOURCE, KEY)
