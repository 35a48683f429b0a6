"""Sessions: the events of one visitor without a long pause, and whose they are.

Which events make a session is a function of the events alone, whatever order they arrived in: its id
is a hash of the visitor and the first event. Invalid events belong to none, so that a robot neither
joins the session of a person nor owes anything to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.silver.session_rules import SessionRules

SESSION = ("session_date", "session_id")
VIEWS = "event_name IN ('page_view', 'screen_view', 'view_item')"
SEARCHES = "event_name IN ('search', 'view_search_results')"
_MICROS = 1_000_000
_ORDER = ("event_at", "event_id")
_CAMPAIGN = ("source", "medium", "campaign")


def kinds_of(identities: IdentityRules, of: str) -> list[str]:
    """Identifier types that stand for a `person` or a `device`, strongest first."""
    return [t.name for t in identities.types if t.of == of]


def hits(events: DataFrame, rules: SessionRules, identities: IdentityRules) -> DataFrame:
    """Events that belong to some session: those that have a visitor.

    The visitor is who is followed from event to event: the device; where there is none the strongest
    identifier. What a source states as different sessions is followed apart; a source may use the
    name of a session again for another device, so both count.

    Args:
        events: valid rows of silver.event.
        rules: the rules of sessions.
        identities: the identity rules.

    Returns:
        One row per event: its key, times and facts, visitor, own (its strongest identifier), device
        and person BIGINT, rank INT (of the person's type, 0 the strongest), campaign STRUCT or null.
    """
    device = strongest(kinds_of(identities, "device"))["node_id"]
    visitor = F.coalesce(device, F.col("owner_node"))
    if rules.session_hint:
        stated = F.xxhash64("source", "session_hint", device)
        visitor = F.when(F.nullif(F.trim("session_hint"), F.lit("")).isNotNull(), stated).otherwise(
            visitor
        )
    persons = kinds_of(identities, "person")
    person = strongest(persons)
    rank = F.array_position(F.array(*map(F.lit, persons)), person["type"]) if persons else None
    return events.select(
        *("event_date", "event_id", "event_at", "event_name", "source", "channel", "page"),
        *("order_id", "dwell_seconds", "device_model", "os", "country", "region"),
        F.col("owner_node").alias("own"),
        device.alias("device"),
        visitor.alias("visitor"),
        person["node_id"].alias("person"),
        (rank if rank is not None else F.lit(None)).cast("int").alias("rank"),
        _campaign(rules).alias("campaign"),
    ).where("visitor IS NOT NULL")


def strongest(kinds: Sequence[str]) -> Column:
    """The first, so the strongest, of a record's identifiers that is of some types."""
    mine = F.filter("identifiers", lambda i: i["type"].isin(*kinds) if kinds else F.lit(False))
    return F.get(mine, F.lit(0))


def _campaign(rules: SessionRules) -> Column:
    """What brought the visitor as the event states it, or null where it states nothing."""
    parts = [
        F.coalesce(*map(_place, places), F.lit(None)).cast("string").alias(name)
        for name in _CAMPAIGN
        for places in [getattr(rules.campaign, name)]
    ]
    return F.when(F.coalesce(*parts).isNotNull(), F.struct(*parts))


def _place(place: str) -> Column:
    if place.startswith("$"):
        text = F.try_variant_get("properties", place, "string")
    else:
        given = F.try_parse_url("page", F.lit("QUERY"), F.lit(place))
        text = F.coalesce(F.try_url_decode(given), given)
    return F.nullif(F.trim(text), F.lit(""))


def sessionised(found: DataFrame, rules: SessionRules) -> DataFrame:
    """Give every event its session and its owner.

    A pause longer than the limit ends a session (30 minutes by the usual convention of web analytics);
    exactly the limit does not. Where several persons of the strongest type known in the session are
    seen, the device was handed over: an event belongs to the one seen last up to it, those before the
    first to the first.

    Args:
        found: all events of some runs of activity, see `hits`.
        rules: the rules in force.

    Returns:
        The rows with session_date, session_id, login BIGINT (a person of the strongest type in the
        session), owner_node BIGINT and inherited BOOLEAN.
    """
    run = Window.partitionBy("visitor").orderBy(*_ORDER)
    pause = F.unix_micros("event_at") - F.unix_micros(F.lag("event_at").over(run))
    limit = rules.inactivity_minutes * 60 * _MICROS
    rows = found.withColumn("_run", _counted(pause > limit, run))
    parts = ["visitor", "_run"]
    if rules.split_on_campaign:
        within = Window.partitionBy(*parts).orderBy(*_ORDER)
        earlier = within.rowsBetween(Window.unboundedPreceding, -1)
        before = F.last("campaign", ignorenulls=True).over(earlier)
        both = F.col("campaign").isNotNull() & before.isNotNull()
        other = both & ~F.col("campaign").eqNullSafe(before)
        rows = rows.withColumn("_part", _counted(other, within))
        parts.append("_part")
    if rules.max_hours is not None:
        start = F.min(F.unix_micros("event_at")).over(Window.partitionBy(*parts))
        length = rules.max_hours * 3600 * _MICROS
        cut = F.floor((F.unix_micros("event_at") - start) / F.lit(length))
        rows = rows.withColumn("_cut", cut)
        parts.append("_cut")
    return _owned(rows, parts).drop("_run", "_part", "_cut", "_first", "_top")


def _counted(begins: Column, window: WindowSpec) -> Column:
    """How often something has begun up to a row."""
    return F.sum(F.when(begins, 1).otherwise(0)).over(window)


def _owned(rows: DataFrame, parts: list[str]) -> DataFrame:
    whole = Window.partitionBy(*parts)
    ordered = whole.orderBy(*_ORDER)
    so_far = ordered.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    every = ordered.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    rows = rows.withColumns(
        {
            "_first": F.first(F.struct("event_date", "event_id")).over(every),
            "_top": F.min("rank").over(whole),
        }
    ).withColumn("login", F.when(F.col("rank") == F.col("_top"), F.col("person")))
    last = F.last("login", ignorenulls=True).over(so_far)
    first = F.first("login", ignorenulls=True).over(every)
    return rows.withColumns(
        {
            "session_date": F.col("_first.event_date"),
            "session_id": F.xxhash64("visitor", "_first.event_date", "_first.event_id"),
            "_known": F.coalesce(last, first),
        }
    ).select(
        *(c for c in rows.columns if c not in SESSION),
        *SESSION,
        F.when(F.col("person").isNotNull(), F.col("own"))
        .otherwise(F.coalesce("_known", "own"))
        .alias("owner_node"),
        (F.col("person").isNull() & F.col("_known").isNotNull()).alias("inherited"),
    )


def session_rows(found: DataFrame, rules: SessionRules) -> DataFrame:
    """Sessions, in the columns of silver.session.

    Args:
        found: all events of the sessions, see `sessionised`.
        rules: the rules in force.
    """

    def first(column: str) -> Column:
        return F.expr(f"min_by({column}, {_AT}) FILTER (WHERE {column} IS NOT NULL)")

    def count(condition: str) -> Column:
        return F.expr(f"count_if({condition})")

    least = rules.effective_view_seconds
    effective = f"coalesce(dwell_seconds, {least}) >= {least}"
    told = found.groupBy(*SESSION).agg(
        F.min("visitor").alias("visitor_node"),
        F.max("device").alias("device_node"),
        F.expr(f"min_by(person, struct(rank, {_AT})) FILTER (WHERE person IS NOT NULL)").alias(
            "owner_node"
        ),
        F.size(F.collect_set("login")).alias("persons"),
        *(first(c).alias(c) for c in ("source", "channel")),
        F.min("event_at").alias("started_at"),
        F.max("event_at").alias("ended_at"),
        F.max("event_date").alias("last_date"),
        F.count(F.lit(1)).alias("events"),
        count(VIEWS).alias("views"),
        count(f"{VIEWS} AND {effective}").alias("effective_views"),
        count(SEARCHES).alias("searches"),
        count("event_name = 'add_to_cart'").alias("carts"),
        count("event_name = 'begin_checkout'").alias("checkouts"),
        count("event_name = 'purchase'").alias("purchases"),
        F.expr("size(collect_set(order_id) FILTER (WHERE event_name = 'purchase'))").alias(
            "orders"
        ),
        first("page").alias("landing_page"),
        F.expr(f"max_by(page, {_AT}) FILTER (WHERE page IS NOT NULL)").alias("exit_page"),
        first("campaign").alias("_campaign"),
        *(first(c).alias(c) for c in ("device_model", "os", "country", "region")),
    )
    micros = F.unix_micros("ended_at") - F.unix_micros("started_at")
    return told.withColumns(
        {
            "has_login": F.col("persons") > 0,
            "seconds": (micros.cast("decimal(20,0)") / F.lit(_MICROS)).cast("decimal(18,3)"),
            "campaign_source": F.col("_campaign.source"),
            "campaign_medium": F.col("_campaign.medium"),
            "campaign_name": F.col("_campaign.campaign"),
        }
    ).drop("_campaign")


_AT = "struct(event_at, event_id)"


def owned(events: DataFrame, sessions: DataFrame) -> DataFrame:
    """Events with their owner in force as `owner_node`: their own, else the one of their session.

    Args:
        events: silver.event.
        sessions: silver.event_session.

    Returns:
        The rows of `events`.
    """
    known = sessions.where("inherited").select(
        "event_date", "event_id", F.col("owner_node").alias("_known")
    )
    owner = F.coalesce("_known", "owner_node")
    rows = events.join(known, ["event_date", "event_id"], "left")
    return rows.withColumn("owner_node", owner).drop("_known")
