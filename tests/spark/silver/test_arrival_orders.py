"""A hundred histories at once: whatever arrives when, the same rows; and a late record touches its own.

Each seed has orders, a device and a member of its own, so one lake holds a hundred independent orders of
arrival, and one run of the jobs tries them all. What must come out is told by plain loops.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.spark.helpers import overlay, run

from lakecdp import contracts

pytestmark = pytest.mark.spark

SEEDS = 100
LATE, QUIET = range(10), range(10, 20)
"""Seeds of which one record and one event come days late; seeds of which nothing does."""
BOX = """
source: box
files: "*.json"
format: json
columns:
  {kind: string, id: string, line: int, at: timestamp, changed: timestamp, n: int,
   price: "decimal(18,4)", device: string, member: string, city: string, page: string}
personal: [device, member, city]
identifiers: {member_id: member, device_id: device}
targets:
  - table: order_header
    where: kind = 'order'
    columns: {order_id: id, ordered_at: at, status: page}
    version: changed
  - table: order_line
    where: kind = 'line'
    columns: {order_id: id, line_id: line, ordered_at: at, quantity: n, unit_price: price}
    version: changed
  - table: event
    where: kind = 'event'
    columns: {event_id: id, event_at: at, event_name: "'page_view'", page: page}
    version: changed
  - table: attribute
    where: kind = 'member'
    columns: {observed_at: at}
    attributes: {city: city}
    version: changed
"""
JOBS = ("01_bronze/ingest", "02_silver/conform", "02_silver/assemble", "02_silver/sessionize")
TABLES = ("order_header", "order_line", "event", "attribute", "order", "event_session", "session")
START = datetime(2026, 3, 1, 22, 30)  # noqa: DTZ001 - written as it stands in the file
Record = dict[str, Any]


def at(minutes: float) -> str:
    return (START + timedelta(minutes=minutes)).strftime("%Y-%m-%d %H:%M:%S")


def history(seed: int) -> list[Record]:
    """Records of one seed: versions in any order, copies, and ties that only the content breaks."""
    pick, out = random.Random(seed), []
    for o in range(pick.randint(1, 2)):
        order = {"id": f"s{seed:03}-o{o}", "at": at(o * 1000), "member": f"m{seed}"}
        out += [
            {
                **order, "kind": "line", "line": line, "n": pick.randint(1, 9),
                "price": str(Decimal(pick.randint(1, 999)) / 100), "changed": at(version),
            }
            for line in range(pick.randint(1, 3))
            for version in range(pick.choice([1, 1, 2, 3]))
        ]  # fmt: skip
        headers = range(pick.choice([1, 2]))
        out += [{**order, "kind": "order", "page": f"p{v}", "changed": at(v)} for v in headers]
    minute = 0.0
    for e in range(pick.randint(2, 5)):
        minute += pick.choice([1, 15, 30, 31, 240])
        event = {"kind": "event", "id": f"s{seed:03}-e{e}", "at": at(minute), "device": f"d{seed}"}
        versions = range(pick.choice([1, 1, 2]))
        out += [{**event, "page": f"/{pick.randint(1, 9)}", "changed": at(v)} for v in versions]
    for version in range(pick.choice([1, 2])):
        city = {"kind": "member", "member": f"m{seed}", "city": f"c{version}"}
        out += [{**city, "at": at(version), "changed": at(version)}]
    out += [dict(r) for r in pick.sample(out, min(3, len(out)))]
    tie = pick.choice([r for r in out if r["kind"] == "line"])
    out.append({**tie, "n": tie["n"] + 1})
    return out


def late(seed: int) -> tuple[list[Record], list[Record]]:
    """Records of a quiet day, and two that belong to it and come days later."""
    order = {"id": f"s{seed:03}-o0", "at": at(0), "member": f"m{seed}", "changed": at(0)}
    lines = [{**order, "kind": "line", "line": n, "n": 2, "price": "1.25"} for n in (0, 1)]
    other = {**order, "id": f"s{seed:03}-o1"}
    event = {"kind": "event", "device": f"d{seed}", "page": "/"}
    events = [{**event, "id": f"s{seed:03}-e{m}", "at": at(m)} for m in (0, 20, 81)]
    whole = [
        {**order, "kind": "order"}, {**other, "kind": "order"}, *lines,
        {**other, "kind": "line", "line": 0, "n": 1, "price": "9"}, *events,
    ]  # fmt: skip
    # 29 minutes after the second event and 32 before the third: it joins the first session.
    return whole, [
        {**order, "kind": "line", "line": 2, "n": 3, "price": "2"},
        {**event, "id": f"s{seed:03}-e49", "at": at(49)},
    ]


def dealt() -> tuple[list[Record], list[Record]]:
    """All records in two deliveries: of each seed some later, in an order of its own."""
    first, second = [], []
    for seed in range(SEEDS):
        if seed in LATE or seed in QUIET:
            whole, after = late(seed)
            first += whole
            second += after if seed in LATE else []
            continue
        records, pick = history(seed), random.Random(1000 + seed)
        pick.shuffle(records)
        cut = pick.randint(0, len(records))
        first += records[:cut]
        second += records[cut:]
    random.Random(5).shuffle(first)
    random.Random(6).shuffle(second)
    return first, second


def winners(records: Iterable[Record], kind: str, *key: str) -> Iterator[tuple[tuple, Record]]:
    """The last version of each key; keys with a tie are left to the comparison of the lakes."""
    found: dict[tuple, list[Record]] = defaultdict(list)
    for r in records:
        if r["kind"] == kind:
            found[tuple(r[k] for k in key)].append(r)
    for k, versions in found.items():
        newest = max(v.get("changed", "") for v in versions)
        last = [v for v in versions if v.get("changed", "") == newest]
        if all(v == last[0] for v in last):
            yield k, last[0]


def sessions(records: Iterable[Record]) -> dict[str, int]:
    """Sessions of each seed: a pause of more than thirty minutes begins another."""
    times: dict[str, set[datetime]] = defaultdict(set)
    for r in records:
        if r["kind"] == "event":
            times[r["id"][:4]].add(datetime.fromisoformat(r["at"]))
    out = {}
    for seed, found in times.items():
        inorder = sorted(found)
        pauses = [b - a for a, b in pairwise(inorder)]
        out[seed] = 1 + sum(p > timedelta(minutes=30) for p in pauses)
    return out


@pytest.fixture(scope="module")
def lakes(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, list[Record]]:
    """The same records in two deliveries, and in one of another order; all that was delivered."""
    from datetime import date

    from lakecdp.platform.job import Job
    from lakecdp.platform.settings import Conf, load_settings

    folder = tmp_path_factory.mktemp("orders")
    conf = Conf(overlay(folder / "conf", box=BOX))
    first, second = dealt()
    whole = first + second
    random.Random(7).shuffle(whole)

    def delivered(name: str, *parts: list[Record]) -> Job:
        landing: Path = folder / name / "landing"
        landing.mkdir(parents=True)
        places = {"lake": str(folder / name / "lake"), "landing": str(landing)}
        job = Job(spark, load_settings(conf, "demo", **places), conf, date(2026, 3, 9), name="test")
        for n, part in enumerate(parts):
            (landing / f"{n}.json").write_text("".join(json.dumps(r) + "\n" for r in part))
            for task in JOBS:
                run(job, task)
        assert job.failures == []
        return job

    return delivered("two", first, second), delivered("one", whole), whole


def rows_of(job: Any, table: str, *more: str) -> list[tuple[Any, ...]]:
    names = [c for c in contracts.table(f"silver.{table}").compared if c != "properties"]
    frame = job.read(f"silver.{table}")
    return sorted((tuple(r) for r in frame.select(*names, *more).collect()), key=repr)


def test_a_hundred_orders_of_arrival_give_the_same_rows(lakes: Any) -> None:
    two, one, records = lakes
    tables = {t: rows_of(two, t) for t in TABLES}
    assert {t: rows_of(one, t) for t in TABLES} == tables

    lines = two.read("silver.order_line").selectExpr(
        "order_id", "int(line_id)", "int(quantity)", "string(unit_price)"
    )
    kept = {(r[0], r[1]): (r[2], Decimal(r[3])) for r in lines.collect()}
    told = {k: (r["n"], Decimal(r["price"])) for k, r in winners(records, "line", "id", "line")}
    assert len(told) > 1.4 * SEEDS
    assert {k: kept[k] for k in told} == told
    assert kept.keys() == {(r["id"], r["line"]) for r in records if r["kind"] == "line"}

    orders = two.read("silver.order").selectExpr("order_id", "amount", "line_count", "status")
    sums: dict[str, list[Decimal]] = defaultdict(list)
    for (order, _), (n, price) in kept.items():
        sums[order].append(n * price)
    status = {k[0]: r.get("page") for k, r in winners(records, "order", "id")}
    assert {r[0]: (r[1], r[2], r[3]) for r in orders.collect()} == {
        o: (sum(found), len(found), status[o]) for o, found in sums.items()
    }

    events = {r[0]: r[1] for r in two.read("silver.event").select("event_id", "page").collect()}
    pages = {k[0]: r["page"] for k, r in winners(records, "event", "id")}
    assert {k: events[k] for k in pages} == pages
    visits = two.read("silver.event_session").selectExpr("left(event_id, 4)", "session_id")
    found: dict[str, set[int]] = defaultdict(set)
    for seed, session in visits.collect():
        found[seed].add(session)
    assert {s: len(ids) for s, ids in found.items()} == sessions(records)


def test_a_record_that_is_days_late_restates_what_it_touches_and_nothing_else(lakes: Any) -> None:
    two, _, _ = lakes
    last = two.read("operations.run").where("job = '02_silver/conform'").agg({"run_seq": "max"})
    since = last.first()[0]
    written: dict[str, set[str]] = {}
    names = {
        "order_header": "order_id", "order_line": "concat(order_id, '/', line_id)", "order": "order_id",
        "event": "event_id", "event_session": "event_id",
        "session": "concat('s', lpad(n.seed, 3, '0'), '-', events)",
    }  # fmt: skip
    devices = two.read("silver.identifier").where("type = 'device_id'")
    devices = devices.selectExpr(
        "node_id AS device_node", "named_struct('seed', substr(value, 2)) AS n"
    )
    for table, key in names.items():
        frame = two.read(f"silver.{table}").where(f"_batch >= {since}")
        if table == "session":
            frame = frame.join(devices, "device_node")
        seeds = {f"s{n:03}" for n in (*LATE, *QUIET)}
        written[table] = {r[0] for r in frame.selectExpr(key).collect() if r[0][:4] in seeds}
    assert written == {
        "order_header": set(),
        "order_line": {f"s{n:03}-o0/2" for n in LATE},
        "order": {f"s{n:03}-o0" for n in LATE},
        "event": {f"s{n:03}-e49" for n in LATE},
        "event_session": {f"s{n:03}-e49" for n in LATE},
        # Of two sessions the first, which has three events now.
        "session": {f"s{n:03}-3" for n in LATE},
    }
