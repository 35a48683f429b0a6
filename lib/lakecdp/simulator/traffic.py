"""Clients that are no customers: scanners, scripts, hosted and impossible clients, farms of accounts.

What each of them gives away is planted with every record (column `traffic`), so that the flags of a lake can
be held against it.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.simulator import catalogue, visits
from lakecdp.simulator.people import cookie_id, device_id, device_spec, member_id
from lakecdp.simulator.randomness import lookup
from lakecdp.simulator.world import World, add

CRAWLER, SCANNER, RATE, SHORT = "crawler", "scanner", "rate", "short_view"
DATACENTRE, BOGON, ACCOUNTS = "datacentre", "bogon", "many_accounts"
KINDS = (CRAWLER, SCANNER, RATE, DATACENTRE, BOGON, ACCOUNTS, SHORT)
"""Kinds of invalid traffic, as silver.event_traffic names them."""
SHORT_SECONDS = 3
"""A view that lasts for less is no effective view."""
PROBE = 1090
"""Code of a scanner's request, beside those of `visits`."""
ITEMS = "array<struct<product_id: string, quantity: int, price: decimal(12,2)>>"
_NUMBERS = {SCANNER: 1, RATE: 2, DATACENTRE: 3, BOGON: 4, ACCOUNTS: 5}
_PEOPLE_BELOW = 1_000_000_000
"""Numbers of persons are below; those of accounts that nobody stands behind are above."""


def nothing_but(**columns: str) -> dict[str, str]:
    """Columns of a record as SQL; those that are not given are null."""
    texts = ("member_id", "email", "phone", "referrer", "query", "order_id")
    empty = {**dict.fromkeys(texts, "string(null)"), "items": f"cast(null as {ITEMS})"}
    empty["number"] = "int(null)"
    return empty | columns


def home(world: World, *keys: str) -> str:
    """SQL for an address in a residential network."""
    draw = world.draw
    network = draw.choice(catalogue.HOME_NETWORKS, "other ip ab", *keys)
    c, d = (draw.integer(254, f"other ip {octet}", *keys) for octet in "cd")
    return f"concat({network}, '.', 1 + {c}, '.', 1 + {d})"


def days(spark: SparkSession, world: World, kind: str, per_thousand: float) -> DataFrame:
    """One row per client of a kind and day on which it comes: bot BIGINT, day INT, h, begin BIGINT.

    The numbers of robots of `web` are others: no two clients share one.
    """
    draw, number = world.draw, _NUMBERS[kind]
    count = round(per_thousand * world.settings.persons / 1_000)
    frame = spark.range(0, count, 1, min(world.slices, max(1, count))).select(
        (F.col("id") + number * 10_000_000).alias("bot")
    )
    frame = frame.withColumn(
        "day", F.expr(f"explode(sequence({world.first_event_day}, {world.last}))")
    )
    frame = frame.where(
        draw.happens(world.settings.traffic.active_share, "client comes", "bot", "day")
    )
    second = draw.integer(60_000, "client start", "bot", "day")
    return add(
        frame,
        h=draw.bits("client visit", "bot", "day"),
        begin=f"(day * 86400L + {second}) * 1000L",
    )


def _steps(frame: DataFrame, world: World, mean: int, least: float, seconds: float) -> DataFrame:
    """A row per step of the visits: code INT from 0, ms BIGINT; at least a share of the mean."""
    draw = world.draw
    more = draw.exponential(repr(1.0 - least), "client steps", "h")
    # No visit goes on beyond the next day, and no step has the code of another kind.
    most = min(900, int(80_000 / max(seconds, 0.1)))
    seen = f"cast(least({most}D, 1D + {mean}D * ({least!r}D + {more})) as int)"
    frame = add(frame, code=f"explode(sequence(0, {seen} - 1))")
    wobble = draw.uniform("client moment", "h", "code")
    return add(
        frame,
        ms=f"begin + cast((code + 0.9D * {wobble}) * {seconds * 1000!r}D as bigint)",
        product=draw.integer(len(world.products), "client page", "h", "code"),
    )


def scanners(spark: SparkSession, world: World) -> DataFrame:
    """Requests of scanners: the columns of web records, with method, path and status."""
    shape, draw = world.settings.traffic, world.draw
    frame = days(spark, world, SCANNER, shape.scanners_per_thousand)
    frame = _steps(frame, world, shape.scanner_requests, 1 / 3, shape.scanner_seconds)
    frame = add(
        frame,
        luck=draw.uniform("scanner asks", "h", "code"),
        which=draw.integer(len(catalogue.PROBES), "probe", "h", "code"),
        guess=draw.choice(catalogue.GUESSES, "guess", "h", "code"),
    )
    methods, paths, states = ([str(probe[part]) for probe in catalogue.PROBES] for part in range(3))
    share = shape.scanner_probe_share
    known, missed = f"luck < {share!r}D", f"luck < {(1.0 + share) / 2!r}D"
    page = f"concat('/p/', {world.sku('product')})"
    return add(
        frame,
        **nothing_but(
            cookie_id="string(null)",
            agent=draw.choice(catalogue.SCANNERS, "scanner", "bot"),
            ip=home(world, "bot"),
            dwell="double(null)",
            method=f"if({known}, {lookup(methods, 'which')}, 'GET')",
            path=f"case when {known} then {lookup(paths, 'which')} when {missed} "
            f"then concat(guess, '/', code) else {page} end",
            status=f"case when {known} then {lookup(states, 'which', 'int')} when {missed} then 404 "
            "else 200 end",
            traffic=f"array('{SCANNER}')",
            product="int(null)",
            code=f"code + {PROBE}",
        ),
    )


def browsers(spark: SparkSession, world: World) -> DataFrame:
    """Views of clients that browse slowly from where nobody lives: the columns of web records."""
    shape, draw = world.settings.traffic, world.draw
    c, d = (draw.integer(254, f"client ip {octet}", "bot") for octet in "cd")
    found = []
    for kind, number, networks in (
        (DATACENTRE, shape.hosted_per_thousand, catalogue.HOSTED),
        (BOGON, shape.bogon_per_thousand, catalogue.BOGONS),
    ):
        frame = days(spark, world, kind, number)
        frame = _steps(frame, world, shape.browsing_views, 0.25, shape.browsing_seconds)
        network = draw.choice(networks, "client ip ab", "bot")
        found.append(
            add(
                frame,
                **nothing_but(
                    cookie_id=cookie_id(world, "day", "-1L - bot"),
                    agent=draw.choice(catalogue.BROWSERS, "client browser", "bot"),
                    ip=f"concat({network}, '.', 1 + {c}, '.', 1 + {d})",
                    dwell=f"{SHORT_SECONDS + 1}D + 10D * {draw.uniform('client dwell', 'h', 'code')}",
                    method="'GET'",
                    path="string(null)",
                    status="200",
                    traffic=f"array('{kind}')",
                ),
            )
        )
    return found[0].unionByName(found[1])


def apps(spark: SparkSession, world: World) -> DataFrame:
    """What programs do in the app: views at a pace of machines, and accounts opened one after another."""
    shape, draw = world.settings.traffic, world.draw
    fast = days(spark, world, RATE, shape.scripts_per_thousand)
    fast = _steps(fast, world, shape.script_views, 1 / 3, shape.script_seconds)
    pause = shape.farm_minutes * 60.0
    farm = days(spark, world, ACCOUNTS, shape.farms_per_thousand)
    farm = _steps(farm, world, shape.farm_accounts, 0.5, pause)
    fast = add(
        fast,
        traffic=f"array('{RATE}', '{SHORT}')",
        dwell=f"0.4D * {draw.uniform('client dwell', 'h', 'code')}",
        account=f"-1L - bot - {_PEOPLE_BELOW}L",
        logged_in="false",
    )
    farm = add(
        farm,
        traffic=f"array('{ACCOUNTS}')",
        dwell="double(null)",
        product="int(null)",
        # A new account each time, above the numbers of all persons.
        account=f"{_PEOPLE_BELOW}L + (bot * 4000L + day) * 1000L + code",
        logged_in="true",
        h=draw.bits("account", "h", "code"),
        code=str(visits.SIGNED_UP),
    )
    frame = fast.unionByName(farm)
    return add(
        frame,
        device_id=device_id(world, "0", "-1L - bot"),
        member_id=member_id("account"),
        spec=device_spec(world, "0", "-1L - bot"),
        version=draw.choice(catalogue.APP_VERSIONS, "app version", "h"),
        # Each account is a session of its own.
        number=f"if(code = {visits.SIGNED_UP}, 1, code + 1)",
        ip=home(world, "bot"),
        city=draw.weighted([weight for *_, weight in catalogue.CITIES], "city", "bot"),
        mood="0",
        pid="-1L",
        reg_ms="0L",
        order_number="string(null)",
        leaves_phone="false",
        phone="string(null)",
        amount="cast(null as decimal(14,2))",
        items=f"cast(null as {ITEMS})",
    )
