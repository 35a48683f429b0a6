"""A retailer to try lakecdp on, with its customers, their identifiers and its flaws known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial, reduce

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from lakecdp.platform.errors import UsageError
from lakecdp.platform.session import INTERPRETED
from lakecdp.simulator import app, backoffice, campaigns, controls, crm, store, visits, web
from lakecdp.simulator.flaws import planted
from lakecdp.simulator.landing import write_lines, write_products, write_truth
from lakecdp.simulator.people import truth_identifier, truth_person
from lakecdp.simulator.settings import SimulatorSettings
from lakecdp.simulator.sharing import truth_borrowed, truth_nobody
from lakecdp.simulator.world import World

__all__ = ["SimulatorSettings", "simulate"]

INTERPRETED_PERSON_DAYS = 100_000
"""Below this size the rows are computed without generated code, whose compilation takes longer."""


def simulate(
    spark: SparkSession,
    settings: SimulatorSettings,
    landing: str,
    truth: str,
    first_day: date | None = None,
    last_day: date | None = None,
) -> dict[str, int]:
    """Writes the deliveries of a company from one day to another, and the truth about them.

    The same settings give the same rows whatever the parallelism, and a range of days gives the
    rows that the whole period has in those deliveries. Days after the period go on with one
    delivery each. Landing files:

    - app_events/{day}/part-*.json, web_events/{day}/part-*.json
    - touches/{day}/part-*.json (messages to members)
    - back_office/{day}/part-*.json (online orders), pos/{day}/manifest.csv (control totals)
    - pos/{day}/part-*.csv, crm/{day}/part-*.csv, products/{first day}/part-00000.csv

    Truth tables in Parquet: person, person_identifier, campaign, nobody and crawler (as of the last
    day, replaced by each call), planted, order_truth, borrowed, lost and cut (by delivery).

    Args:
        spark: A session; its own settings are left alone.
        settings: The company.
        landing: Folder or URI for the landing files.
        truth: Folder or URI for the truth tables, which no stage reads.
        first_day: First delivery to write; the first day of the period by default.
        last_day: Last delivery to write; the last day of the period by default.

    Returns:
        Lines written by source, headers not counted.

    Raises:
        UsageError: The range is empty or begins before the period.
    """
    start = first_day or settings.first_day
    end = last_day or settings.last_day
    if not settings.first_day <= start <= end:
        raise UsageError(
            f"the days {start} to {end} to simulate must be in order and not before the first day "
            f"of the company, {settings.first_day}"
        )
    world = World(settings, (start - settings.first_day).days, (end - settings.first_day).days)
    session = _session(spark, world)
    # Ten outputs begin with the visits, and a day on which nobody comes costs as much as any other.
    visited = visits.visits(session, world).persist(StorageLevel.MEMORY_AND_DISK)
    shopped = visits.shopping(visited, world).persist(StorageLevel.MEMORY_AND_DISK)
    sold = store.sold(visited, world)
    tickets = store.records(sold, world)
    sent = {app.SOURCE: app.sent(shopped, world), web.SOURCE: web.sent(shopped, world)}
    arrived = tickets.where("not cut")
    sources = [
        _Source(app.SOURCE, app.records(sent[app.SOURCE], world), app.lines, app.KEY),
        _Source(web.SOURCE, web.records(sent[web.SOURCE], world), web.lines, web.KEY),
        _Source(store.SOURCE, arrived, store.lines, store.KEY, store.HEADER),
        _Source(crm.SOURCE, crm.records(session, world), crm.lines, crm.KEY, crm.HEADER),
    ]
    mistakes = crm.mistakes(sources[-1].records, world)
    bought = shopped.where("buys")
    booked = backoffice.records(app.sent(bought, world), web.sent(bought, world), world)
    touches = campaigns.records(session, world)
    if touches is not None:
        sources.append(_Source(campaigns.SOURCE, touches, campaigns.lines, campaigns.KEY))
    counts: dict[str, int] = {}

    def land(source: _Source) -> None:
        frame = source.lines(source.records, world)
        if source.header:
            frame = frame.coalesce(max(1, world.slices // 4))
        counts[source.name] = write_lines(frame, world, landing, source.name, source.header)

    def tills() -> None:
        land(next(one for one in sources if one.name == store.SOURCE))
        controls.write_manifests(tickets, world, landing, store.SOURCE, store.HEADER)

    def flaws() -> None:
        parts = [planted(one.records, world, one.name, one.key) for one in sources]
        frame = reduce(DataFrame.unionByName, [*parts, mistakes])
        write_truth(frame.coalesce(world.slices), world, truth, "planted")

    def orders() -> None:
        frame = web.online_orders(shopped, world).unionByName(store.store_orders(sold, world))
        _write_delivered(frame, world, truth, "order_truth")

    def people() -> None:
        write_truth(truth_person(session, world), world, truth, "person")
        write_truth(truth_identifier(session, world), world, truth, "person_identifier")
        write_truth(web.truth_crawler(session, world), world, truth, "crawler")
        chosen = campaigns.truth_campaign(session, world)
        if chosen is not None:
            write_truth(chosen, world, truth, "campaign")
        write_truth(truth_nobody(session, world).coalesce(1), world, truth, "nobody")
        if world.first == 0:
            counts["products"] = write_products(session, world, landing)

    work: list[Callable[[], None]] = [
        *(partial(land, one) for one in sources if one.name != store.SOURCE),
        partial(land, _Source(backoffice.SOURCE, booked, backoffice.lines, "order_number")),
        tills,
        partial(_write_losses, sent, tickets, world, truth),
        flaws,
        orders,
        partial(_write_delivered, truth_borrowed(visited, world), world, truth, "borrowed"),
    ]
    _do([*work, people], holding=(shopped, visited))
    return dict(sorted(counts.items()))


@dataclass(frozen=True)
class _Source:
    name: str
    records: DataFrame
    lines: Callable[[DataFrame, World], DataFrame]
    key: str
    header: tuple[str, ...] = ()


def _do(work: Sequence[Callable[[], None]], holding: Sequence[DataFrame]) -> None:
    """Do all of it, and then let go of frames that are held for it."""
    # Planning and code generation of one part overlap with the tasks of another.
    try:
        with ThreadPoolExecutor(max_workers=3) as pool:
            for done in [pool.submit(part) for part in work]:
                done.result()
    finally:
        for frame in holding:
            frame.unpersist()


def _write_losses(sent: dict[str, DataFrame], tickets: DataFrame, world: World, truth: str) -> None:
    """Write what was sent and never arrives: the truth tables lost and cut."""
    names = {app.SOURCE: app.event(), web.SOURCE: web.event()}
    parts = [visits.truth_lost(sent[one], world, one, name) for one, name in names.items()]
    _write_delivered(reduce(DataFrame.unionByName, parts), world, truth, "lost")
    write_truth(controls.truth(tickets, world).coalesce(1), world, truth, "cut")


def _write_delivered(frame: DataFrame, world: World, truth: str, table: str) -> None:
    frame = frame.where(f"delivery between {world.first} and {world.last}")
    write_truth(frame.coalesce(world.slices), world, truth, table)


def _session(spark: SparkSession, world: World) -> SparkSession:
    """A session on the same cluster with the settings that the simulator relies on."""
    session = spark.newSession()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    session.conf.set("spark.sql.ansi.enabled", "true")
    # Looking for what repeats takes longer than it saves: draws do not.
    session.conf.set("spark.sql.inMemoryColumnarStorage.compressed", "false")
    # Rows of all deliveries go to their files as they come, without being sorted first.
    session.conf.set("spark.sql.maxConcurrentOutputFileWriters", "64")
    if world.person_count * (world.last - world.first_event_day + 1) < INTERPRETED_PERSON_DAYS:
        for key, value in INTERPRETED.items():
            session.conf.set(key, value)
    return session
