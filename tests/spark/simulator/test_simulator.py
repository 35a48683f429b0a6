"""The simulated company, judged by DuckDB and plain Python over the files it has written."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from benchmarks.traffic import AIM, JOBS, shares
from pyspark.sql import SparkSession
from tests.spark.helpers import run as done
from tests.spark.simulator.company import (
    HEADERS,
    SETTINGS,
    SOURCES,
    Company,
    identifiers,
    key_of,
    known,
    local_time,
    machines,
    observed,
    of_many,
    reason,
    run,
    sound,
)

from lakecdp.platform.errors import UsageError
from lakecdp.platform.job import Job
from lakecdp.simulator import catalogue
from lakecdp.simulator.traffic import KINDS, SHORT

pytestmark = pytest.mark.spark


WRITTEN = (*SOURCES, "products", "back_office")


@pytest.fixture(scope="module")
def whole(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Company:
    return run(spark, tmp_path_factory.mktemp("whole"))


def test_counts_are_those_of_the_files(whole: Company) -> None:
    assert whole.counts == {source: len(whole.lines(source)) for source in WRITTEN}
    assert all(count > 50 for count in whole.counts.values()), whole.counts


def test_files_lie_by_delivery_with_their_header(whole: Company) -> None:
    # Fifteen days in groups of six, then five single days.
    expected = [SETTINGS.first_day + timedelta(days=day) for day in (5, 11, 14, 15, 16, 17, 18, 19)]
    for source in SOURCES:
        folders = sorted(path.name for path in (whole.root / "landing" / source).iterdir())
        assert set(folders) <= {day.isoformat() for day in expected}
        if source not in ("crm", "touches"):
            assert folders == [day.isoformat() for day in expected]
    assert sorted(path.name for path in (whole.root / "landing").iterdir()) == sorted(WRITTEN)
    for source, header in HEADERS.items():
        for file in (whole.root / "landing" / source).glob("*/*"):
            if file.name.startswith("part-"):
                assert file.read_text(encoding="utf-8").split("\n", 1)[0] == header


TABLES = (
    "person",
    "person_identifier",
    "planted",
    "crawler",
    "order_truth",
    "nobody",
    "borrowed",
    "campaign",
    "lost",
    "cut",
)
UNHARMED = ("duplicate", "late", "wrong_phone", "wrong_device", *KINDS)
"""Flaws of lines that can be read all the same."""


def rows(company: Company) -> dict[str, list[Any]]:
    """Everything a call has written, without regard to order and files."""
    found: dict[str, list[Any]] = {}
    for source in WRITTEN:
        found[source] = sorted(company.lines(source))
    for table in TABLES:
        found[table] = sorted(str(sorted(row.items())) for row in company.truth(table))
    return found


def test_rows_depend_neither_on_parallelism_nor_on_generated_code(
    spark: SparkSession, whole: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakecdp.simulator.INTERPRETED_PERSON_DAYS", 0)
    before = spark.conf.get("spark.sql.shuffle.partitions")
    files = SETTINGS.files.model_copy(update={"slices": 7})
    spark.conf.set("spark.sql.shuffle.partitions", "5")
    try:
        other = run(spark, tmp_path, SETTINGS.model_copy(update={"files": files}))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", str(before))
    assert len(list((tmp_path / "landing" / "app_events").glob("*/part-*.json"))) > len(
        list((whole.root / "landing" / "app_events").glob("*/part-*.json"))
    )
    assert rows(other) == rows(whole)


def test_pieces_are_those_of_the_whole_and_of_a_longer_period(
    spark: SparkSession, whole: Company, tmp_path: Path
) -> None:
    run(spark, tmp_path, days=(0, 16))
    run(spark, tmp_path, days=(17, 19))
    pieces = run(spark, tmp_path, days=(17, 19))
    assert rows(pieces) == rows(whole)
    longer = run(spark, tmp_path, days=(20, 21))
    last = SETTINGS.last_day.isoformat()
    for source in SOURCES:
        past = sorted(item for item in longer.lines(source) if item[0] <= last)
        assert past == sorted(whole.lines(source))
        new = len(longer.lines(source)) - len(past)
        assert new == longer.counts[source]
    assert {day for day, _ in longer.lines("app_events") if day > last} == {
        (SETTINGS.last_day + timedelta(days=day)).isoformat() for day in (1, 2)
    }
    known = {row["person_id"]: row["churned_on"] for row in whole.truth("person")}
    later = {row["person_id"]: row["churned_on"] for row in longer.truth("person")}
    assert len(later) > len(known)
    assert {person: later[person] for person in known} == known


@pytest.mark.parametrize("source", SOURCES)
def test_malformed_lines_are_the_planted_ones(whole: Company, source: str) -> None:
    found = Counter(
        (kind, day) for day, line in whole.lines(source) if (kind := reason(source, line))
    )
    planted = Counter(
        (row["kind"], row["day"].isoformat())
        for row in whole.truth("planted")
        if row["source"] == source and row["kind"] not in UNHARMED
    )
    assert found == planted
    assert planted.total() > (50 if source.endswith("_events") else 0)
    intact = ("impossible_date", "wrong_type", "negative_price", "broken_json")
    keys = {
        key_of(source, line) for _, line in whole.lines(source) if reason(source, line) in intact
    }
    assert keys == {
        row["key"]
        for row in whole.truth("planted")
        if row["source"] == source and row["kind"] in intact
    }
    # What is malformed is there besides the sound records, never in the place of one.
    assert not keys & {key_of(source, line) for _, line in sound(whole, source)}


@pytest.mark.parametrize("source", SOURCES)
def test_duplicates_are_the_planted_ones(whole: Company, source: str) -> None:
    copies = Counter(line for _, line in sound(whole, source))
    found = Counter(key_of(source, line) for line, times in copies.items() if times > 1)
    assert set(copies.values()) <= {1, 2}
    duplicates = [
        row
        for row in whole.truth("planted")
        if row["source"] == source and row["kind"] == "duplicate"
    ]
    # A copy whose original comes in a later run of days cannot be recognised yet.
    late = {(row["key"], row["source"]) for row in whole.truth("planted") if row["kind"] == "late"}
    assert found == Counter(row["key"] for row in duplicates)
    assert len(duplicates) > 0
    folders: dict[str, list[str]] = {}
    for day, line in sound(whole, source):
        folders.setdefault(key_of(source, line), []).append(day)
    for row in duplicates:
        assert row["day"].isoformat() == max(folders[row["key"]])
    if source.endswith("_events"):
        assert any(len(set(folders[row["key"]])) == 2 for row in duplicates)
        assert any(len(set(folders[row["key"]])) == 1 for row in duplicates)
        assert late


@pytest.mark.parametrize("source", SOURCES)
def test_late_records_are_the_planted_ones(whole: Company, source: str) -> None:
    ends = sorted({day for day, _ in whole.lines("app_events")})
    planted = {
        (row["key"], row["day"].isoformat())
        for row in whole.truth("planted")
        if row["source"] == source and row["kind"] == "late"
    }
    copies = {
        (row["key"], row["day"].isoformat())
        for row in whole.truth("planted")
        if row["source"] == source and row["kind"] == "duplicate"
    }
    found = set()
    for day, line in sound(whole, source):
        happened = max(local_time(source, line).date(), SETTINGS.first_day).isoformat()
        due = min(end for end in ends if end >= happened)
        assert day >= due
        if day > due:
            found.add((key_of(source, line), day))
    assert planted <= found <= planted | copies
    assert bool(planted) or source in ("crm", "pos", "touches")


def test_identifiers_are_those_of_one_person_at_that_time(whole: Company) -> None:
    truth = known(whole)
    seen: Counter[str] = Counter()
    for at, found in observed(whole):
        owners = set()
        for identifier in found:
            row = truth[identifier]
            owners.add(row["person_id"])
            seen[identifier[0]] += 1
            assert row["valid_from"] <= at.date()
            until = row["valid_to"]
            # What somebody brings back shows the phone of the purchase.
            slack = timedelta(days=SETTINGS.store.return_days)
            assert until is None or at.date() < until + slack, identifier
        assert len(owners) <= 1, found
    assert set(seen) == {"member_id", "phone", "email", "device_id", "cookie"}
    changed = [row for row in truth.values() if row["valid_to"]]
    assert changed
    assert {row["type"] for row in changed} == {"phone"}


def test_identifiers_of_many_are_those_of_the_truth(whole: Company) -> None:
    truth, people = known(whole), {row["person_id"]: row for row in whole.truth("person")}
    users: dict[tuple[str, str], set[int]] = {}
    for row in whole.truth("borrowed"):
        both = {row["person_id"], row["owner_id"]}
        users.setdefault((row["type"], row["value"]), set()).update(both)
        assert truth[row["type"], row["value"]]["person_id"] == row["owner_id"]
        assert len(both) == 2
        assert len({people[one]["household"] for one in both}) == 1
    assert all(len(both) == 2 for both in users.values())
    kinds = {(row["type"], row["value"]): row["kind"] for row in whole.truth("nobody")}
    assert not set(kinds) & set(truth)
    met: dict[tuple[str, str], set[int]] = {}
    for source in SOURCES:
        for _, line in sound(whole, source):
            found = identifiers(source, line)
            persons = {truth[one]["person_id"] for one in found if one in truth}
            for one in found:
                if one in users and source.endswith("_events"):
                    assert persons <= users[one], one
                met.setdefault(one, set()).update(persons)
    lent = [met[one] for one in users if one in met]
    assert any(len(persons) == 2 for persons in lent)
    most: dict[str, int] = {}
    for one, kind in kinds.items():
        most[kind] = max(most.get(kind, 0), len(met.get(one, ())))
    assert set(most) == {"kiosk", "store_phone", "junk", "unlisted_junk"}
    # There are more stores than members with a card on their tickets.
    assert most.pop("store_phone") >= 1
    assert min(most.values()) >= 2, most
    assert {one[0] for one in met if one in kinds} == {
        "device_id",
        "cookie",
        "phone",
        "email",
        "member_id",
    }


def test_mistaken_records_name_somebody_else(whole: Company) -> None:
    truth = known(whole)
    lines = {key_of("crm", line): line for _, line in sound(whole, "crm")}
    wrong = [
        row
        for row in whole.truth("planted")
        if row["kind"].startswith("wrong_") and row["source"] == "crm"
    ]
    assert {row["kind"] for row in wrong} == {"wrong_phone", "wrong_device"}
    for row in wrong:
        found = dict(identifiers("crm", lines[row["key"]]))
        kind = {"wrong_phone": "phone", "wrong_device": "device_id"}[row["kind"]]
        other = truth.get((kind, found[kind]))
        assert (
            other is None
            or other["person_id"] != truth["member_id", found["member_id"]]["person_id"]
        )
    assert any(
        ("phone", dict(identifiers("crm", lines[row["key"]]))["phone"]) in truth for row in wrong
    )


def test_members_have_bought_as_guests_with_the_same_and_with_another_phone(whole: Company) -> None:
    truth = known(whole)
    members = {row["person_id"]: row["registered_on"] for row in whole.truth("person")}
    before: dict[int, set[str]] = {}
    after: dict[int, set[str]] = {}
    for at, found in observed(whole):
        for one in found:
            person = truth[one]["person_id"]
            if one[0] == "phone" and members[person]:
                then = before if at.date() < members[person] else after
                then.setdefault(person, set()).add(one[1])
    claimed = set(before) & set(after)
    assert any(before[person] & after[person] for person in claimed)
    assert any(not before[person] & after[person] for person in claimed)


def test_nothing_happens_after_churn(whole: Company) -> None:
    truth = known(whole)
    people = {row["person_id"]: row for row in whole.truth("person")}
    last: dict[int, date] = {}
    for at, found in observed(whole):
        for identifier in found:
            person = truth[identifier]["person_id"]
            last[person] = max(last.get(person, date.min), at.date())
            assert at.date() >= people[person]["entered_on"]
    gone = {
        person: row["churned_on"]
        for person, row in people.items()
        if row["churned_on"] and row["churned_on"] <= SETTINGS.last_day
    }
    assert len(gone) > 10
    for person, day in gone.items():
        assert last.get(person, day) <= day
    stayed = [day for person, day in last.items() if person not in gone]
    assert sum(day > SETTINGS.last_day - timedelta(days=5) for day in stayed) > len(stayed) / 2


def test_members_are_named_only_after_their_registration(whole: Company) -> None:
    registered: dict[str, datetime] = {}
    for _, line in sound(whole, "crm"):
        row = next(csv.reader([line]))
        moment = datetime.fromisoformat(row[8])
        assert registered.setdefault(row[0], moment) == moment
        assert datetime.fromisoformat(row[11]) >= moment
    people = whole.truth("person")
    assert len(registered) >= sum(row["registered_on"] is not None for row in people) - 2
    for at, found in observed(whole):
        for kind, value in found:
            if kind == "member_id" and value in registered:
                assert at >= registered[value].replace(microsecond=0)


def test_orders_are_those_of_the_files(whole: Company) -> None:
    found: dict[str, tuple[str, Decimal]] = {}
    owners: dict[str, tuple[str, str]] = {}
    prices = {
        row[0]: Decimal(row[4]) for row in csv.reader([line for _, line in whole.lines("products")])
    }
    for source, name in (("app_events", "PayOrder"), ("web_events", "purchase")):
        for _, line in sound(whole, source):
            event = json.loads(line, parse_float=Decimal)
            if event["event"] != name:
                continue
            body = event.get("properties", event)
            total = sum((item["quantity"] * item["price"] for item in body["items"]), Decimal(0))
            assert all(item["price"] == prices[item["product_id"]] for item in body["items"])
            if source == "app_events":
                assert body["order_amount"] == total
                owners[body["order_id"]] = ("device_id", body["$device_id"])
            else:
                owners[body["order_id"]] = ("cookie", body["cookie_id"])
            found[body["order_id"]] = (source[:3], total)
    lines = {line for _, line in sound(whole, "pos")}
    for row in csv.reader(lines):
        assert Decimal(row[6]) * Decimal(row[7]) == Decimal(row[8])
        assert prices[row[4]] == Decimal(row[7])
        before = found.get(row[0], ("store", Decimal(0)))[1]
        found[row[0]] = ("store", before + Decimal(row[8]))
    late = {row["key"].split("/")[0] for row in whole.truth("planted") if row["kind"] == "late"}
    truth = {row["order_id"]: (row["channel"], row["amount"]) for row in whole.truth("order_truth")}
    # An order that is paid after midnight of the last day, or late, is not delivered yet.
    missing = set(truth) - set(found)
    assert len(missing) <= 6
    assert set(found) <= set(truth)
    assert {order: truth[order] for order in found if order not in late} == {
        order: amount for order, amount in found.items() if order not in late
    }
    own, shared = known(whole), of_many(whole)
    people = {row["order_id"]: row["person_id"] for row in whole.truth("order_truth")}
    for order, identifier in owners.items():
        assert identifier in shared or own[identifier]["person_id"] == people[order]
    assert any(identifier in shared for identifier in owners.values())
    assert {channel for channel, _ in found.values()} == {"app", "web", "store"}


def test_returns_take_back_what_was_sold(whole: Company) -> None:
    lines = [next(csv.reader([line])) for line in {line for _, line in sound(whole, "pos")}]
    sales = {(row[0], row[1]): row for row in lines if not row[12]}
    returns = [row for row in lines if row[12]]
    assert len(returns) > 10
    for row in returns:
        assert int(row[6]) < 0
        assert row[0] != row[12]
        sale = sales.get((row[12], row[1]))
        if sale:
            assert (sale[4], -int(sale[6])) == (row[4], int(row[6]))
            assert row[3] > sale[3]
    assert sum((row[12], row[1]) in sales for row in returns) > 0.9 * len(returns)


def test_crawlers_are_those_of_the_truth(whole: Company) -> None:
    events: dict[str, set[str]] = {}
    kinds = machines(whole)
    for _, line in sound(whole, "web_events"):
        event = json.loads(line)
        if kinds.get(("web_events", event["event_id"]), {"crawler"}) & {"crawler", "rate"}:
            events.setdefault(event["cookie_id"], set()).add(event["event_id"])
    cookies = {row["value"] for row in whole.truth("person_identifier") if row["type"] == "cookie"}
    robots = {row["cookie_id"]: row for row in whole.truth("crawler")}
    nobody = {row["value"] for row in whole.truth("nobody")}
    assert set(events) - cookies - nobody == set(robots)
    assert {row["kind"] for row in robots.values()} == {"declared", "stealth"}
    late = sum(row["kind"] == "late" for row in whole.truth("planted"))
    missing = sum(row["events"] - len(events[cookie]) for cookie, row in robots.items())
    assert 0 <= missing <= late
    assert any(row["events"] == len(events[cookie]) for cookie, row in robots.items())


def test_other_clients_give_away_what_the_truth_says(whole: Company) -> None:
    planted: dict[tuple[str, str], set[str]] = {}
    for row in whole.truth("planted"):
        if row["kind"] in KINDS:
            planted.setdefault((row["source"], row["key"]), set()).add(row["kind"])
    assert {kind for kinds in planted.values() for kind in kinds} == set(KINDS)
    seen, accounts, pace = set(), {}, {}
    for source in ("app_events", "web_events"):
        for _, line in sound(whole, source):
            key, event = (source, key_of(source, line)), json.loads(line)
            kinds, body = planted.get(key, set()), event.get("properties", event)
            seen.add(key)
            dwell = body.get("dwell_seconds", body.get("dwell_ms", 3000) / 1000)
            assert (dwell is not None and dwell < 3) == (SHORT in kinds), line
            ip, agent = body.get("ip") or body["$ip"], body.get("user_agent")
            network = ".".join(ip.split(".")[:2])
            hosted = [n for _, n, own in catalogue.ROBOTS if own]
            assert ("datacentre" in kinds) == (
                network in catalogue.HOSTED or any(ip.startswith(n) for n in hosted)
            )
            assert ("bogon" in kinds) == (network in catalogue.BOGONS)
            assert ("crawler" in kinds) == (agent in [a for a, *_ in catalogue.ROBOTS])
            if "scanner" in kinds:
                assert event["cookie_id"] is None
            if "many_accounts" in kinds:
                accounts.setdefault((body["$device_id"], local_time(source, line).date()), set())
                accounts[body["$device_id"], local_time(source, line).date()].add(event["login_id"])
            if "rate" in kinds:
                who = body.get("$device_id") or event["cookie_id"]
                pace.setdefault(who, []).append(local_time(source, line))
    damaged = {
        (row["source"], row["key"]) for row in whole.truth("planted") if row["kind"] not in UNHARMED
    }
    assert set(planted) - seen <= damaged
    assert max(len(found) for found in accounts.values()) >= 2
    for times in pace.values():
        times.sort()
        gaps = [b - a for a, b in pairwise(times) if b.date() == a.date()]
        assert sum(gap < timedelta(seconds=1) for gap in gaps) >= 0.9 * len(gaps)
    probes = [
        json.loads(line) for _, line in sound(whole, "web_events")
        if "scanner" in planted.get(("web_events", key_of("web_events", line)), ())
    ]  # fmt: skip
    assert {p["event"] for p in probes} == {"request", "page_view"}
    assert {p["method"] for p in probes} >= {"GET", "POST"}
    assert any(p["status"] == 404 for p in probes)


def test_flags_of_a_lake_are_those_of_the_truth(
    whole: Company, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    (tmp_path / "landing").symlink_to(whole.root / "landing")
    text = "currency: CNY\nphone_region: CN\nsources: [app_events, web_events]\nhash: {key: test}\n"
    (tmp_path / "demo.yaml").write_text(text)
    job = make_job(conf=tmp_path)
    for step in JOBS:
        done(job, step)
    assert job.failures == []
    found, persons, wrong = shares(job, whole.root / "truth")
    for name, s in found.items():
        assert s.precision >= AIM, (name, s)
        assert s.recall >= AIM, (name, s)
        assert s.true > 50 or name == "no_agent", (name, s)
    assert persons > 2_000
    assert wrong == 0


@pytest.mark.parametrize("days", [(-1, 5), (5, 4)])
def test_a_wrong_range_is_refused(
    spark: SparkSession, tmp_path: Path, days: tuple[int, int]
) -> None:
    with pytest.raises(UsageError, match="must be in order"):
        run(spark, tmp_path, days=days)
    assert list(tmp_path.iterdir()) == []
