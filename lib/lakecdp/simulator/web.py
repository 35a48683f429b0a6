"""Events of the website, as flat JSON lines in local time, robots included."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.simulator import catalogue, traffic, visits
from lakecdp.simulator.app import term
from lakecdp.simulator.flaws import MALFORMED, damaged_json, delivered
from lakecdp.simulator.people import (
    cookie_id,
    member_id,
    phone_at,
    portrait,
    spelled_email,
    spelled_phone,
)
from lakecdp.simulator.randomness import lookup, text
from lakecdp.simulator.sharing import spoiled
from lakecdp.simulator.world import DAY_MS, World, add

SOURCE = "web_events"
KINDS = ("broken_json", "nul_byte", "impossible_date", "wrong_type")
KEY = "event_id"
SITE = "https://shop.example.com"
DECLARED_SECONDS = 9.0
"""Mean seconds between two pages of a robot that names itself."""
_COLUMNS = (
    *("h", "code", "ms", "product", "dwell", "cookie_id", "member_id", "email", "phone"),
    *("agent", "referrer", "ip", "query", "order_id", "items", "number"),
    *("robot", "method", "path", "status", "traffic"),
)


def records(sent: DataFrame, world: World) -> DataFrame:
    """One row per line of web_events in the deliveries asked for, not yet written out.

    Args:
        sent: Result of `sent`.
        world: The company and the deliveries asked for.
    """
    spark = sent.sparkSession
    frame = sent.where("not lost").select(*_COLUMNS).unionByName(_robots(spark, world))
    for others in (traffic.scanners(spark, world), traffic.browsers(spark, world)):
        frame = frame.unionByName(add(others, robot="true").select(*_COLUMNS))
    frame = add(frame, day=f"cast(ms div {DAY_MS} as int)")
    frame = delivered(frame, world, SOURCE, ["h", "code"], KINDS)
    identity = world.draw.bits("event id", "h", "code", f"cast(copy = {MALFORMED} as int)")
    return add(
        frame,
        event_id=f"lower(lpad(hex({identity}), 16, '0'))",
        # What has no dwell time cannot have a wrong one.
        planted="if(planted = 'wrong_type' and dwell is null, 'broken_json', planted)",
    )


def sent(shopped: DataFrame, world: World) -> DataFrame:
    """One row per event that a person's browser sends, with `lost` where it never arrives.

    Args:
        shopped: Result of `visits.shopping`.
        world: The company and the deliveries asked for.
    """
    behaviour, draw = world.settings.behaviour, world.draw
    frame = portrait(shopped.where("channel = 'web'"), world)
    other = draw.integer(3, "other cookie", "h")
    cookie = f"if(owner <> pid or {draw.happens(0.7, 'cookie', 'h')}, 0, {other} % cookies)"
    habit = draw.uniform("web login", "h")
    on_the_way = behaviour.web_stays_logged_in + behaviour.web_login_share
    view = f"cast({draw.uniform('login moment', 'h')} * seen as int)"
    at_checkout = draw.happens(behaviour.web_checkout_login_share, "login at checkout", "h")
    frame = add(
        frame,
        cookie=cookie,
        # Seconds after which the member id is known; a sign-up is the first login.
        login_after=f"""case when j = {visits.SIGN_UP} then 60D when account <> pid then -1D
            when not member or begin < reg_ms then null
            when {habit} < {behaviour.web_stays_logged_in!r}D then -1D
            when {habit} < {on_the_way!r}D then {visits.reach(world, view)} - 1D
            when buys and {at_checkout} then {visits.reach(world, "seen")} + 2.5D end""",
    )
    frame = add(
        frame,
        cookie_id=spoiled(world, "cookie", cookie_id(world, "cookie", "owner"), "h"),
        agent=draw.choice(catalogue.BROWSERS, "browser", "owner", "cookie"),
        member_id=member_id("account"),
        email=spoiled(world, "email", spelled_email(world, "email", "h"), "h"),
        phone=spoiled(world, "phone", spelled_phone(world, phone_at("day"), "h"), "h"),
        leaves_phone=draw.happens(behaviour.guest_phone_share, "guest phone", "h"),
        leaves_email=draw.happens(behaviour.guest_email_share, "guest e-mail", "h"),
        origin=draw.choice(catalogue.REFERRERS, "referrer", "h"),
    )
    extras = {
        visits.LOGIN: "login_after >= 0D",
        visits.NEWSLETTER: f"account = pid and "
        f"{draw.happens(behaviour.newsletter_share, 'newsletter', 'h')}",
    }
    frame = visits.steps(frame, world, extras)
    selling = f"code in ({visits.CHECKOUT}, {visits.PAY})"
    known = "login_after is not null and ms >= begin + cast(1000D * login_after as bigint)"
    frame = add(
        frame,
        member_id=f"if({known}, member_id, null)",
        email=f"""if(code in ({visits.LOGIN}, {visits.NEWSLETTER})
            or (code = {visits.PAY} and login_after is null and leaves_email), email, null)""",
        phone=f"if(code = {visits.PAY} and login_after is null and leaves_phone, phone, null)",
        referrer=f"if(code = {visits.START}, nullif(origin, ''), '{SITE}/')",
        query=f"if(code = {visits.SEARCH}, {term(world)}, null)",
        order_id=f"if(code in ({visits.PAY}, {visits.PAY_FAILED}), order_number, null)",
        items=f"if({selling}, items, null)",
        robot="false",
        method=f"if(code in ({visits.LOGIN}, {visits.CHECKOUT}, {visits.PAY}, {visits.PAY_FAILED}), "
        "'POST', 'GET')",
        path="string(null)",
        status="200",
        traffic=f"if({brief('dwell')}, array('{traffic.SHORT}'), cast(array() as array<string>))",
        lost=visits.lost(world),
        day=f"cast(ms div {DAY_MS} as int)",
    )
    return frame.select(*_COLUMNS, "lost", "order_number", "amount", "day")


def brief(dwell: str) -> str:
    """SQL for whether a view is too short, as it stands in the file."""
    return f"cast({dwell} as decimal(9,3)) < {traffic.SHORT_SECONDS}"


def _robot_days(spark: SparkSession, world: World, since: int) -> DataFrame:
    shape, draw = world.settings.crawlers, world.draw
    count = round(shape.per_thousand_persons * world.settings.persons / 1_000)
    frame = spark.range(0, count, 1, min(world.slices, max(1, count))).withColumnRenamed(
        "id", "bot"
    )
    days = f"explode(sequence({since}, {world.last}))"
    frame = frame.withColumn("day", F.expr(days))
    frame = add(frame, stealth=draw.happens(shape.stealth_share, "stealth", "bot"))
    frame = frame.where(draw.happens(shape.active_share, "robot comes", "bot", "day"))
    kind = draw.integer(len(catalogue.ROBOTS), "robot", "bot")
    agents = [agent for agent, *_ in catalogue.ROBOTS]
    networks = [network for _, network, _ in catalogue.ROBOTS]
    hosted = [str(own).lower() for *_, own in catalogue.ROBOTS]
    block = f"substring_index({traffic.home(world, '-1L - bot')}, '.', 3)"
    many = draw.exponential(str(shape.declared_views), "robot views", "bot", "day")
    more = draw.exponential(repr(2 / 3), "robot views", "bot", "day")
    crowd = f"{shape.stealth_views}D * ({1 / 3!r}D + {more})"
    # No visit of a robot goes on beyond the next day.
    longest = f"if(stealth, {72_000 / shape.stealth_seconds!r}D, {72_000 / DECLARED_SECONDS!r}D)"
    second = draw.integer(80_000, "robot start", "bot", "day")
    return add(
        frame,
        h=draw.bits("robot visit", "bot", "day"),
        begin=f"(day * 86400L + {second}) * 1000L",
        agent=f"if(stealth, {draw.choice(catalogue.BROWSERS, 'robot browser', 'bot')}, "
        f"{lookup(agents, kind)})",
        hosted=f"not stealth and {lookup(hosted, kind)} = 'true'",
        ip=f"concat(if(stealth, concat({block}, '.'), {lookup(networks, kind)}), "
        f"1 + {draw.integer(254, 'robot ip', 'bot')})",
        cookie_id=cookie_id(world, "day", "-1L - bot"),
        seen=f"cast(least({longest}, 1D + if(stealth, {crowd}, {many})) as int)",
    )


def _robots(spark: SparkSession, world: World) -> DataFrame:
    draw, shape = world.draw, world.settings.crawlers
    frame = _robot_days(spark, world, world.first_event_day)
    frame = frame.withColumn("code", F.expr("explode(sequence(0, seen - 1))"))
    gap = f"if(stealth, {shape.stealth_seconds * 1000!r}D, {DECLARED_SECONDS * 1000!r}D)"
    wobble = draw.uniform("robot moment", "h", "code")
    frame = add(
        frame,
        ms=f"begin + cast((code + 0.9D * {wobble}) * {gap} as bigint)",
        product=draw.integer(len(world.products), "robot page", "h", "code"),
        dwell=f"if(stealth, 0.2D, 1D) * {draw.uniform('robot dwell', 'h', 'code')}",
        **traffic.nothing_but(robot="true", method="'GET'", path="string(null)", status="200"),
    )
    kinds = f"if(stealth, '{traffic.RATE}', '{traffic.CRAWLER}')"
    kinds += (
        f", if(hosted, '{traffic.DATACENTRE}', null), if({brief('dwell')}, '{traffic.SHORT}', null)"
    )
    return add(frame, traffic=f"array_compact(array({kinds}))").select(*_COLUMNS)


def truth_crawler(spark: SparkSession, world: World) -> DataFrame:
    """One row per robot and day on which it comes, from the first day on.

    cookie_id STRING (not used on any other day), kind declared | stealth, user_agent, ip STRING,
    day DATE of its start, events INT.
    """
    frame = _robot_days(spark, world, 0)
    return frame.select(
        "cookie_id",
        F.expr("if(stealth, 'stealth', 'declared')").alias("kind"),
        F.col("agent").alias("user_agent"),
        "ip",
        F.expr(world.date_sql("day")).alias("day"),
        F.col("seen").alias("events"),
    )


NAMES = {
    visits.START: ("page_view", "/"),
    visits.SEARCH: ("search", "/search"),
    visits.NEWSLETTER: ("page_view", "/newsletter/thanks"),
    visits.LOGIN: ("login", "/login"),
    visits.REMOVE: ("remove_from_cart", "/cart"),
    visits.CHECKOUT: ("begin_checkout", "/checkout"),
    visits.PAY: ("purchase", "/checkout/done"),
    visits.PAY_FAILED: ("payment_failed", "/checkout/payment"),
    **{visits.CART + slot: ("add_to_cart", "/cart") for slot in range(visits.MAX_CARTED)},
}
"""Name and page of each step that is no view."""
VIEW = f"robot or code < {visits.START}"


def event() -> str:
    """SQL for the name of an event."""
    names = " ".join(f"when {code} then '{name}'" for code, (name, _) in NAMES.items())
    served = "if(status between 200 and 299, 'page_view', 'request')"
    return (
        f"case when path is not null then {served} when {VIEW} then 'view_item' "
        f"else case code {names} end end"
    )


def lines(frame: DataFrame, world: World) -> DataFrame:
    """The lines of `records`: value STRING, delivery INT."""
    pages = " ".join(f"when {code} then '{SITE}{page}'" for code, (_, page) in NAMES.items())
    page = f"if({VIEW}, concat('{SITE}/p/', {world.sku('product')}), case code {pages} end)"
    fields = {
        "event_id": "event_id",
        "ts": f"concat({world.clock_sql('ms', 'T', millis=True)}, '+08:00')",
        "cookie_id": "cookie_id",
        "member_id": "member_id",
        "email": "email",
        "phone": "phone",
        "event": event(),
        "session": f"if(robot, null, {visits.session()})",
        "seq": "number",
        "url": f"if(path is null, {page}, concat('{SITE}', path))",
        "referrer": "referrer",
        "method": "method",
        "status": "status",
        "user_agent": "agent",
        "ip": "ip",
        "sku": world.sku("product"),
        "category": f"if(product is null, null, {world.category_of('product')})",
        "query": "query",
        "order_id": "order_id",
        "items": "items",
        "dwell_seconds": "cast(dwell as decimal(9,3))",
    }
    record = ", ".join(f"{text(name)}, {sql}" for name, sql in fields.items())
    json = f"to_json(named_struct({record}), map('ignoreNullFields', 'false'))"
    frame = frame.select(F.expr(json).alias("line"), "planted", "delivery")
    damages = {
        "impossible_date": """regexp_replace(line, '"ts":"....-..-..T..', '"ts":"2026-02-30T25')""",
        "wrong_type": """regexp_replace(
            line, '"dwell_seconds":[0-9.]+', '"dwell_seconds":"long"')""",
    }
    return frame.select(F.expr(damaged_json("line", damages)).alias("value"), "delivery")


def online_orders(shopped: DataFrame, world: World) -> DataFrame:
    """One row per paid order of app and web, by the day of its visit; columns of order_truth."""
    return shopped.where("buys").select(
        F.col("order_number").alias("order_id"),
        F.col("pid").alias("person_id"),
        "channel",
        F.expr(world.date_sql("day")).alias("day"),
        "amount",
        F.lit(None).cast("string").alias("original_order_id"),
        F.expr(world.delivery_sql("day")).alias("delivery"),
    )
