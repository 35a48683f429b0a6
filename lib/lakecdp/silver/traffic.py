"""Invalid traffic: which events no person caused, and why; pure functions of events and rules.

An event is judged by itself (its agent, its address, what it asks for, how long it lasted) and with the
others of its client: a device at an address, or the address alone where a source knows no devices. What a
client did too fast or as a scanner concerns all that it did on the days (UTC) of that, not more.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from lakecdp.silver import addresses
from lakecdp.silver.agents import NO_AGENT, crawler
from lakecdp.silver.sessions import VIEWS, kinds_of, strongest
from lakecdp.silver.traffic_rules import DAY, Traffic
from lakecdp.silver.valid import FILE, INVALID, KEY, REQUEST

NOT_EFFECTIVE = "not_effective"
SHORT = "short_view"
REASONS = (
    *("stated", "crawler", "no_agent", "scanner", "rate", "bogon", "datacentre"),
    *("many_accounts", SHORT),
)
ACCOUNTS_LOOKED_AT = 50
"""Of the accounts opened on a device the last are looked at: so many times those that are too many."""
_MICROS = 1_000_000
_HOUR = 3600 * _MICROS
_NO_REQUEST = 408
"""Browsers open connections ahead, and may then ask for nothing: the answer after a while is this one."""


def sightings(events: DataFrame, traffic: Traffic) -> DataFrame:
    """Events with what they are judged by.

    Args:
        events: silver.event.
        traffic: the rules.

    Returns:
        One row per event: its key, event_at, event_name, source, channel, dwell_seconds,
        invalid_reason, user_agent, device BIGINT, account BIGINT (strongest identifier of a person),
        ip STRING (null where it says nothing), actor BIGINT (device, else address, else the event
        itself), client BIGINT (actor and address), pace BIGINT (client and agent), missed BOOLEAN,
        probe STRING (what a scanner would ask for, or null).
    """
    rules = traffic.rules
    rows = events.select(
        *(*KEY, "event_at", "event_name", "source", "channel", "dwell_seconds", "invalid_reason"),
        *("user_agent", "http_method", "http_status"),
        F.concat_ws(" ", "page", F.concat(F.lit("?"), "http_query")).alias("asked"),
        F.concat_ws(" ", "referrer", "user_agent").alias("shown"),
        strongest(kinds_of(traffic.identities, "device"))["node_id"].alias("device"),
        strongest(kinds_of(traffic.identities, "person"))["node_id"].alias("account"),
        addresses.plain(F.col("ip")).alias("ip"),
    )
    if rules.addresses.trusted:
        bits = addresses.bits(F.col("ip"))
        own = addresses.within(F.col("bits"), rules.addresses.trusted)
        rows = (
            rows.withColumn("bits", bits).withColumn("ip", F.when(~own, F.col("ip"))).drop("bits")
        )
    by_address = F.xxhash64(F.lit("address"), "ip")
    alone = F.xxhash64(F.lit("event"), *KEY)
    known = F.when(F.col("ip").isNotNull(), by_address).otherwise(alone)
    rows = rows.withColumn("actor", F.coalesce("device", known))
    rows = rows.withColumn("client", F.xxhash64("actor", "ip"))
    status = F.col("http_status")
    refused = status.between(400, 499) & (status != _NO_REQUEST)
    missed = (F.col("event_name") == REQUEST) & refused
    # In a step of its own: what many patterns look at is decoded once.
    rows = rows.withColumns({c: _decoded(F.col(c)) for c in ("asked", "shown")})
    return rows.withColumns(
        {
            "pace": F.xxhash64("client", "user_agent"),
            "missed": F.coalesce(missed, F.lit(False)),
            "probe": _probe(traffic) if rules.scanners.flag else F.lit(None).cast("string"),
        }
    ).drop("asked", "shown", "http_method", "http_status")


def _probe(traffic: Traffic) -> Column:
    """What shows that a request is a scanner's: its method, or the name of a pattern."""
    rules = traffic.rules.scanners
    method, status = F.col("http_method"), F.col("http_status")
    odd = F.when(~F.upper(method).isin(*rules.methods), F.concat(F.lit("method "), method))
    none = method.isNull() & status.isNotNull() & (status != _NO_REQUEST)
    return F.coalesce(
        odd,
        F.when(none, F.lit("no request")),
        _named(F.col("asked"), rules.probes),
        _named(F.col("shown"), rules.shown_probes),
    )


def _decoded(raw: Column) -> Column:
    """A text with itself decoded once and twice: scanners hide what they ask for."""
    once = _url_decoded(raw)
    every = F.concat_ws(" ", raw, once, _url_decoded(once))
    return F.when(F.contains(raw, F.lit("%")), every).otherwise(raw)


def _url_decoded(text: Column) -> Column:
    return F.try_url_decode(F.regexp_replace(text, "%(?![0-9A-Fa-f]{2})", "%25"))


def _named(text: Column, patterns: dict[str, str]) -> Column:
    """The name of the first pattern that is found; all are tried only where one is."""
    if not patterns:
        return F.lit(None).cast("string")
    some = "|".join(f"(?:{p})" for p in patterns.values())
    each = [F.when(text.rlike(f"(?i){p}"), F.lit(name)) for name, p in patterns.items()]
    return F.when(text.rlike(f"(?i)(?:{some})"), F.coalesce(*each))


def judged(seen: DataFrame, traffic: Traffic) -> DataFrame:
    """The events that are flagged, in the columns of silver.event_traffic.

    Args:
        seen: sightings; of each actor all of a day and of the days within `TrafficRules.reach` of it.
        traffic: the rules.

    Returns:
        One row per flagged event.
    """
    rules = traffic.rules
    rows = _joined(seen, _agents(seen, traffic), ["user_agent"])
    rows = _joined(rows, _addresses(seen, traffic), ["ip"])
    rows = _joined(rows, _scanning(seen, traffic), ["client", "event_date"])
    rows = _joined(rows, _pacing(seen, traffic), ["pace", "event_date"])
    rows = _joined(rows, _registering(seen, traffic), ["actor", "event_date"])
    least = traffic.sessions.effective_view_seconds
    short = F.expr(f"{VIEWS} AND dwell_seconds < {least}")
    evidence = {
        "stated": F.col("invalid_reason"),
        "crawler": F.col("crawler"),
        "no_agent": F.col("no_agent"),
        "scanner": F.coalesce("probe", "scanning"),
        "rate": F.col("pacing"),
        "bogon": F.when(F.col("network_kind") == "bogon", F.col("network")),
        "datacentre": F.when(F.col("network_kind") == "datacentre", F.col("network")),
        "many_accounts": F.col("registering"),
        SHORT: F.when(short, F.lit(f"under {least} s")) if rules.short_views.flag else F.lit(None),
    }
    found = [
        F.when(
            evidence[r].isNotNull(),
            F.struct(F.lit(r).alias("reason"), evidence[r].cast("string").alias("evidence")),
        )
        for r in REASONS
    ]
    flags = rows.select(
        *KEY, "source", "channel", F.array_compact(F.array(*found)).alias("found")
    ).where(F.size("found") > 0)
    reasons = F.col("found.reason")
    brief = reasons == F.array(F.lit(SHORT))
    return flags.select(
        *KEY,
        "source",
        "channel",
        F.when(brief, F.lit(NOT_EFFECTIVE)).otherwise(F.lit(INVALID)).alias("kind"),
        reasons.alias("reasons"),
        F.col("found.evidence").alias("evidence"),
    )


def _joined(rows: DataFrame, found: DataFrame, on: list[str]) -> DataFrame:
    return rows.join(found, on, "left")


def _agents(seen: DataFrame, traffic: Traffic) -> DataFrame:
    """Different agents: user_agent, and what they are flagged by: crawler, no_agent STRING or null."""
    rules = traffic.rules.crawlers
    agents = seen.where("user_agent IS NOT NULL").select("user_agent").distinct()
    name = crawler(F.col("user_agent"), rules.also, rules.never) if rules.flag else F.lit(None)
    none = F.trim("user_agent").isin(*NO_AGENT) if rules.flag and rules.no_agent else F.lit(False)
    return agents.select(
        "user_agent",
        F.when(~none, name).cast("string").alias("crawler"),
        F.when(none, F.lit("no user agent")).alias("no_agent"),
    )


def _addresses(seen: DataFrame, traffic: Traffic) -> DataFrame:
    """Different addresses that are flagged: ip, network_kind (bogon or datacentre), network STRING."""
    rules = traffic.rules.addresses
    listed: list[tuple[str, str, str]] = []
    if rules.bogon.flag:
        listed += [
            (addresses.key(n), "bogon", name)
            for name, networks in rules.bogon.networks.items()
            for n in networks
        ]
    if rules.datacentre.flag:
        listed += [
            (addresses.key(n), "datacentre", d.name)
            for d in traffic.datacentres.values()
            for n in d.networks
        ]
    names = ("key", "network_kind", "network")
    table = pa.table(
        {n: pa.array([x[i] for x in listed], pa.string()) for i, n in enumerate(names)}
    )
    networks = seen.sparkSession.createDataFrame(table)
    own = seen.where("ip IS NOT NULL").select("ip").distinct()
    own = own.withColumn("bits", addresses.bits(F.col("ip")))
    keys = addresses.keys_of(F.col("bits"), [k for k, *_ in listed])
    inside = (
        own.select("ip", F.explode(keys).alias("key"))
        .join(F.broadcast(networks), "key")
        .groupBy("ip")
        .agg(
            F.max_by(
                F.struct("network_kind", "network"),
                F.struct(F.length("key"), "network_kind", "network"),
            ).alias("_in")
        )
        .select("ip", "_in.*")
    )
    if not rules.bogon.flag:
        return inside
    wrong = own.where(addresses.impossible(F.col("ip"))).select(
        "ip", F.lit("bogon").alias("network_kind"), F.lit("no address").alias("network")
    )
    return inside.union(wrong)


def _scanning(seen: DataFrame, traffic: Traffic) -> DataFrame:
    """Days on which a client is a scanner: client, event_date, scanning STRING."""
    rules = traffic.rules.scanners
    probes = (
        seen.where("probe IS NOT NULL")
        .groupBy("client", "event_date")
        .agg(F.count(F.lit(1)).alias("_probes"))
        .where(F.col("_probes") >= rules.client_probes)
        .select(
            "client",
            "event_date",
            F.lit(f"{rules.client_probes} probes on a day").alias("scanning"),
        )
    )
    misses = _days_over(
        seen.where("missed"),
        "client",
        [(rules.misses.seconds, rules.misses.requests)],
        "{most} missing pages within {span}",
    )
    both = (
        probes.union(misses)
        .groupBy("client", "event_date")
        .agg(F.max("scanning").alias("scanning"))
    )
    return both if rules.flag else both.limit(0)


def _pacing(seen: DataFrame, traffic: Traffic) -> DataFrame:
    """Days on which a client and agent are too fast: pace, event_date, pacing STRING."""
    rules = traffic.rules.rates
    limits = [(limit.seconds, limit.requests) for limit in rules.limits] if rules.flag else []
    return _days_over(
        seen.where(F.col("event_name") != FILE),
        "pace",
        limits,
        "{most} within {span}",
    ).withColumnRenamed("scanning", "pacing")


def _registering(seen: DataFrame, traffic: Traffic) -> DataFrame:
    """Days on which a device opens too many accounts: actor, event_date, registering STRING."""
    rules = traffic.rules.registrations
    opened = seen.where("event_name = 'sign_up' AND device IS NOT NULL AND account IS NOT NULL")
    if rules.channels is not None:
        opened = opened.where(F.col("channel").isin(*rules.channels))
    if not rules.flag:
        return _no_days(opened, "actor").withColumnRenamed("scanning", "registering")
    # Bounded, so that a device id that everybody shares does no harm.
    last = _order("actor").rowsBetween(1 - ACCOUNTS_LOOKED_AT * rules.accounts, Window.currentRow)
    near = F.filter(
        F.collect_list(F.struct("event_at", "event_date", "account")).over(last),
        lambda o: F.unix_micros(o["event_at"]) > F.unix_micros("event_at") - rules.hours * _HOUR,
    )
    text = f"{rules.accounts} accounts within {_span(rules.hours * 3600)}"
    return (
        opened.withColumn("_near", near)
        .where(F.size(F.array_distinct("_near.account")) >= rules.accounts)
        .withColumn("since", F.array_min("_near.event_date"))
        .select("actor", F.explode(F.sequence("since", "event_date")).alias("event_date"))
        .distinct()
        .withColumn("registering", F.lit(text))
    )


def _order(who: str) -> WindowSpec:
    return Window.partitionBy(who).orderBy("event_at", "event_id")


def _no_days(rows: DataFrame, who: str) -> DataFrame:
    return rows.select(who, "event_date", F.lit("").alias("scanning")).limit(0)


def _days_over(
    rows: DataFrame, who: str, limits: Sequence[tuple[int, int]], words: str
) -> DataFrame:
    """Days on which somebody reaches a limit: those of the events within the seconds before.

    So many events are within the seconds if the first of so many is: one look back, however many events
    somebody has.

    Args:
        rows: sightings.
        who: the column that tells who.
        limits: seconds, and how many events within them.
        words: a limit in words, with {most} and {span}.

    Returns:
        who, event_date, scanning STRING: the first limit reached, in words.
    """
    if not limits:
        return _no_days(rows, who)
    over = []
    for place, (seconds, most) in enumerate(limits):
        first = F.lag(F.struct("event_at", "event_date"), most - 1).over(_order(who))
        gap = F.unix_micros("event_at") - F.unix_micros(first["event_at"])
        text = words.format(most=most, span=_span(seconds))
        found = F.struct(
            F.lit(place).alias("place"),
            F.lit(text).alias("words"),
            first["event_date"].alias("since"),
        )
        over.append(F.when(gap < seconds * _MICROS, found))
    days = F.sequence(F.col("over.since"), F.col("event_date"))
    return (
        rows.withColumn("_over", F.array_compact(F.array(*over)))
        .where(F.size("_over") > 0)
        .select(who, "event_date", F.explode("_over").alias("over"))
        .select(who, F.explode(days).alias("event_date"), "over.place", "over.words")
        .groupBy(who, "event_date")
        .agg(F.min_by("words", "place").alias("scanning"))
    )


def _span(seconds: int) -> str:
    for length, unit in ((DAY, "d"), (3600, "h"), (60, "min")):
        if seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
