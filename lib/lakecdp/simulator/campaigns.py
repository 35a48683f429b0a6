"""Messages to members, what became of them, and whom they moved to buy."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.simulator.flaws import MALFORMED, damaged_json, delivered
from lakecdp.simulator.people import device_id, member_id, persons, phone_at, portrait
from lakecdp.simulator.randomness import text
from lakecdp.simulator.settings import CampaignSettings
from lakecdp.simulator.world import World, add

SOURCE = "touches"
KINDS = ("broken_json", "nul_byte")
KEY = "touch_id"
STEPS = ("sent", "delivered", "opened", "clicked")
CHANNELS = ("push", "sms", "email")


def _day(campaign: CampaignSettings, world: World) -> int:
    return (campaign.day - world.settings.first_day).days


def _appetite(campaign: CampaignSettings) -> str:
    """SQL for a person's response as a multiple of the mean: by preferred channel and price."""
    likes = CHANNELS.index(campaign.channel)
    return f"((0.5D + sensitivity) * if(prefers = {likes}, 1.5D, 0.75D))"


def _chosen(campaign: CampaignSettings, world: World) -> str:
    day = _day(campaign, world)
    reach = world.draw.happens(campaign.reach_share, f"chosen {campaign.name}", "pid")
    return f"(member and reg < {day} and churn > {day + campaign.within_days} and {reach})"


def _treated(campaign: CampaignSettings, world: World) -> str:
    control = world.draw.happens(campaign.control_share, f"control {campaign.name}", "pid")
    return f"not {control}"


def _would_buy(campaign: CampaignSettings, world: World) -> str:
    fate = world.draw.uniform(f"moved {campaign.name}", "pid")
    return f"({fate} < {campaign.lift!r}D * {_appetite(campaign)})"


def _moved_day(campaign: CampaignSettings, world: World) -> str:
    wait = world.draw.integer(campaign.within_days, f"moved when {campaign.name}", "pid")
    return f"({_day(campaign, world)} + {wait})"


def moved(world: World) -> str:
    """SQL for whether a campaign makes a person (columns of `persons`) buy on a `day`."""
    cases = [
        f"(day = {_moved_day(one, world)} and {_chosen(one, world)} and {_treated(one, world)} "
        f"and {_would_buy(one, world)})"
        for one in world.settings.campaigns
    ]
    return " or ".join(cases) or "false"


def _people(spark: SparkSession, world: World, campaign: CampaignSettings, until: int) -> DataFrame:
    frame = portrait(persons(spark, world), world).where(_chosen(campaign, world))
    if _day(campaign, world) > until or _day(campaign, world) < 0:
        frame = frame.limit(0)
    return add(
        frame,
        campaign=text(campaign.name),
        channel=text(campaign.channel),
        day=str(_day(campaign, world)),
        treated=_treated(campaign, world),
        would_buy=_would_buy(campaign, world),
        chance=f"least(1D, {campaign.lift!r}D * {_appetite(campaign)})",
        opens=f"least(1D, {campaign.opened_share!r}D * if(prefers = "
        f"{CHANNELS.index(campaign.channel)}, 1.5D, 0.75D))",
        delivered_share=f"{campaign.delivered_share!r}D",
        clicked_share=f"{campaign.clicked_share!r}D",
        number=str(int.from_bytes(campaign.name.encode()[-7:])) + "L",
    )


def _everybody(spark: SparkSession, world: World) -> DataFrame | None:
    parts = [_people(spark, world, one, world.last) for one in world.settings.campaigns]
    return reduce(DataFrame.unionByName, parts) if parts else None


def records(spark: SparkSession, world: World) -> DataFrame | None:
    """One row per line of touches in the deliveries asked for; None where there is no campaign.

    A message that is opened has arrived, and one that is clicked has been opened.
    """
    everybody, draw = _everybody(spark, world), world.draw
    if everybody is None:
        return None
    fate = draw.uniform("touch", "pid", "number")
    far = f"""case when {fate} >= delivered_share then 1 when {fate} >= delivered_share * opens then 2
        when {fate} >= delivered_share * opens * clicked_share then 3 else 4 end"""
    second = draw.integer(7_200, "touch second", "pid", "number")
    waits = [draw.exponential("3600D", "touch wait", "pid", "number", str(k)) for k in (1, 2, 3)]
    after = " + ".join(
        f"if(step >= {k}, 600D + least(3000D, {wait}), 0D)" for k, wait in enumerate(waits, 1)
    )
    frame = add(
        everybody.where("treated"),
        step=f"explode(sequence(0, {far} - 1))",
        address=f"""case channel when 'push' then {device_id(world, "0")}
            when 'sms' then {phone_at("day")} else email end""",
        begin=f"(day * 86400L + 36000L + {second}) * 1000L",
    )
    # Each step ten minutes to an hour after the one before; even the last comes on the same day.
    frame = add(frame, ms=f"begin + cast(({after}) * 1000D as bigint)")
    frame = delivered(frame, world, SOURCE, ["pid", "number", "step"], KINDS)
    identity = draw.bits("touch id", "pid", "number", "step", f"cast(copy = {MALFORMED} as int)")
    return add(frame, touch_id=f"lower(lpad(hex({identity}), 16, '0'))")


def lines(frame: DataFrame, world: World) -> DataFrame:
    """The lines of `records`: value STRING, delivery INT."""
    steps = " ".join(f"when {number} then '{name}'" for number, name in enumerate(STEPS))
    fields = {
        "touch_id": "touch_id",
        "ts": f"concat({world.clock_sql('ms', 'T', millis=True)}, '+08:00')",
        "campaign": "campaign",
        "channel": "channel",
        "event": f"case step {steps} end",
        "member_id": member_id(),
        "address": "address",
    }
    record = ", ".join(f"{text(name)}, {sql}" for name, sql in fields.items())
    frame = frame.select(
        F.expr(f"to_json(named_struct({record}))").alias("line"), "planted", "delivery"
    )
    return frame.select(F.expr(damaged_json("line", {})).alias("value"), "delivery")


def truth_campaign(spark: SparkSession, world: World) -> DataFrame | None:
    """One row per campaign and person chosen for it.

    campaign, channel STRING, day DATE, person_id BIGINT, treated BOOLEAN (false: control group),
    chance DOUBLE (that a message brings one more planned purchase: the true effect), would_buy
    BOOLEAN (what a message does to this person; it did so where treated).
    """
    everybody = _everybody(spark, world)
    if everybody is None:
        return None
    return everybody.select(
        *("campaign", "channel"),
        F.expr(world.date_sql("day")).alias("day"),
        F.col("pid").alias("person_id"),
        *("treated", "chance", "would_buy"),
    )
