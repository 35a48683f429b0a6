"""Sessions and owners: cases worked out by hand, and any batches against plain loops."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.spark.silver import visits
from tests.spark.silver.visits import Memory, event, session_facts, world

from lakecdp.silver.session_rules import SessionRules
from lakecdp.silver.sessionize import TRAFFIC

pytestmark = pytest.mark.spark

DEVICE, OTHER = ("device_id", 301), ("device_id", 302)
ANNA, BEN = ("member_id", 101), ("member_id", 102)
PHONE = ("phone", 201)
RULES = SessionRules(campaign={"campaign": ["$.utm_campaign"]})  # type: ignore[arg-type]


@pytest.fixture
def lake(spark: SparkSession) -> Callable[..., Memory]:
    """A memory with events that were put into sessions one delivery after another."""

    def made(*deliveries: list[visits.Event], rules: SessionRules = RULES) -> Memory:
        memory = Memory(spark)
        for events in deliveries:
            memory.deliver(events)
            memory.take(rules)
        return memory

    return made


def test_where_a_session_ends(lake: Callable[..., Memory]) -> None:
    memory = lake(
        [
            # Eleven at night: over midnight, a pause of exactly half an hour, then one of a bit more.
            event("a", 45, DEVICE, page="/in", campaign="spring"),
            event("b", 75, DEVICE, kind="search"),
            event("c", 105, DEVICE, page="/out", dwell_seconds=Decimal(2)),
            event("d", 135.01, DEVICE),
            # A robot on the same device neither joins nor bridges.
            event("robot", 120, DEVICE, invalid_reason="crawler"),
            # Nobody; another device; another session by the word of the source; no device at all.
            event("nobody", 46),
            event("other", 47, OTHER),
            event("hint", 48, DEVICE, session_hint="s1"),
            event("hint, no id", 48, session_hint="s1"),
            event("hint of another", 49, OTHER, session_hint="s1"),
            event("hint elsewhere", 49, DEVICE, session_hint="s1", source="app"),
            event("phone", 50, PHONE),
        ]
    )
    alone = ("d", "other", "hint", "hint, no id", "hint of another", "hint elsewhere", "phone")
    assert memory.visits() == {frozenset("abc"), *(frozenset([x]) for x in alone)}
    owners = {x: 302 if x in ("other", "hint of another") else 301 for x in memory.owners()}
    assert memory.owners() == {**owners, "hint, no id": None, "phone": 201}
    rows = memory.rows["silver.session"].values()
    row = next(r for r in rows if r["events"] == 3)
    assert {k: str(row[k]) for k in ("session_date", "last_date", "seconds", "visitor_node")} == {
        "session_date": "2026-03-01", "last_date": "2026-03-02", "seconds": "3600.000",
        "visitor_node": "301",
    }  # fmt: skip
    wanted = {
        "landing_page": "/in", "exit_page": "/out", "campaign_name": "spring", "views": 2,
        "effective_views": 1, "searches": 1, "has_login": False, "owner_node": None,
        "device_node": 301,
    }  # fmt: skip
    assert {k: row[k] for k in wanted} == wanted


def test_who_owns_an_event(lake: Callable[..., Memory]) -> None:
    memory = lake(
        [
            # One after the other logs in on one device.
            event("before", 0, DEVICE),
            event("anna", 5, ANNA, DEVICE),
            event("anna's", 10, DEVICE),
            event("phone", 12, PHONE, DEVICE),
            event("still anna's", 13, DEVICE),
            event("ben", 15, BEN, DEVICE),
            event("ben's", 20, DEVICE),
            # Later somebody is there who does not log in.
            event("who", 120, DEVICE),
            # A session that knows a phone alone.
            event("early", 240, OTHER),
            event("number", 241, PHONE, OTHER),
        ]
    )
    assert memory.owners() == {
        "before": 101, "anna": 101, "anna's": 101, "phone": 201, "still anna's": 101, "ben": 102,
        "ben's": 102, "who": 301, "early": 201, "number": 201,
    }  # fmt: skip
    known = memory.rows["silver.event_session"].values()
    inherited = {r["event_id"] for r in known if r["inherited"]}
    assert inherited == {"before", "anna's", "still anna's", "ben's", "early"}
    rows = {
        r["events"]: (r["owner_node"], r["persons"]) for r in memory.rows["silver.session"].values()
    }
    assert rows == {7: (101, 2), 1: (None, 0), 2: (201, 1)}


def test_late_restated_and_deleted_events(lake: Callable[..., Memory]) -> None:
    two = [event("a", 0, DEVICE), event("b", 20, DEVICE), event("c", 70, ANNA, DEVICE)]
    far = [event("far", 300, DEVICE), event("else", 10, OTHER)]
    memory = lake([*two, *far])
    before = {k: dict(r) for k, r in memory.rows["silver.session"].items()}
    assert memory.visits() == {frozenset(x) for x in ("ab", "c", ["far"], ["else"])}

    memory.deliver([event("late", 45, DEVICE)])
    memory.take(RULES)
    assert frozenset(["a", "b", "late", "c"]) in memory.visits()
    assert memory.owners() == {"a": 101, "b": 101, "late": 101, "c": 101, "far": 301, "else": 302}
    kept = [k for k, r in memory.rows["silver.session"].items() if before.get(k) == r]
    assert len(kept) == 2, "other sessions are not written"
    left = [
        (r["owner_node"], str(r["day"])) for r in memory.rows["silver.vacated_session"].values()
    ]
    assert left == [(301, "2026-03-01")], "a and b have left the device"

    # Restated as of a robot, the event that joined them splits them.
    memory.deliver([event("late", 45, DEVICE, invalid_reason="crawler")])
    memory.take(RULES)
    assert frozenset("ab") in memory.visits()
    assert memory.owners() == {"a": 301, "b": 301, "c": 101, "far": 301, "else": 302}

    # Restated with another device, the login goes where it was.
    memory.deliver([event("c", 70, ANNA, OTHER)])
    memory.take(RULES)
    memory.deliver([], gone=[(memory.events[k]["day"], k[1]) for k in memory.events if k[1] == "b"])
    memory.take(RULES)
    assert memory.visits() == {frozenset([x]) for x in ("a", "c", "far", "else")}
    again = memory.seq
    memory.take(RULES)
    assert not memory.written
    assert max(r["_batch"] for r in memory.rows["silver.session"].values()) <= again


def test_flagged_events_leave_their_session_and_come_back(lake: Callable[..., Memory]) -> None:
    memory = lake(
        [
            event("a", 0, DEVICE), event("b", 20, ANNA, DEVICE), event("c", 45, DEVICE),
            event("file", 10, DEVICE, kind="file_request"), event("else", 10, OTHER),
        ]
    )  # fmt: skip
    assert memory.visits() == {frozenset("abc"), frozenset(["else"])}
    memory.flag("b")
    memory.flag("else", kind="not_effective")
    memory.take(RULES)
    assert memory.visits() == {frozenset("a"), frozenset("c"), frozenset(["else"])}
    assert memory.owners() == {"a": 301, "c": 301, "else": 302}
    left = {r["owner_node"] for r in memory.rows["silver.vacated_session"].values()}
    assert left == {101}, "what b was and what it gave to the others"
    memory.flag("b", kind=None)
    memory.take(RULES)
    assert memory.visits() == {frozenset("abc"), frozenset(["else"])}
    assert memory.owners() == {"a": 101, "b": 101, "c": 101, "else": 302}


def test_a_change_reaches_other_days_than_its_own(lake: Callable[..., Memory]) -> None:
    memory = lake([event("a", 50, DEVICE)], [event("b", 70, ANNA, DEVICE)])
    assert memory.visits() == {frozenset("ab")}, "a quarter past midnight, and nothing else is new"
    assert memory.owners() == {"a": 101, "b": 101}

    # A visit every 23 hours, which no pause of these rules ends: where it is cut hangs on the first.
    rules = RULES.model_copy(update={"inactivity_minutes": 1440, "max_hours": 30})
    long = [event(f"{d}", 23 * 60 * d, DEVICE) for d in range(7)]
    memory = lake(long, rules=rules)
    assert memory.visits() == {frozenset(x) for x in ("01", "2", "3", "45", "6")}
    memory.deliver([], gone=[(long[0]["day"], "0")])
    memory.take(rules)
    assert memory.visits() == {frozenset(x) for x in ("12", "3", "4", "56")}


@pytest.mark.parametrize(
    ("seed", "more"),
    [(1, {}), (2, {"split_on_campaign": True, "max_hours": 1}), (3, {"session_hint": False})],
)
def test_any_batches_give_what_loops_give(
    spark: SparkSession, seed: int, more: dict[str, Any]
) -> None:
    rules = RULES.model_copy(update=more)
    dice = random.Random(seed)
    steps = Memory(spark)
    for number, (events, deleted) in enumerate(world(seed)):
        before = {k: (r["owner_node"], k[0]) for k, r in steps.rows[SESSION_OF].items()}
        steps.deliver(events, dice.sample(sorted(steps.events), deleted))
        flagged = {k for k in steps.rows[TRAFFIC] if k in steps.events}
        free = sorted(steps.events.keys() - flagged)
        steps.flag(*(k[1] for k in dice.sample(free, 6)))
        steps.flag(*(k[1] for k in dice.sample(free, 3)), kind="not_effective")
        steps.flag(*(k[1] for k in dice.sample(sorted(flagged), len(flagged) // 2)), kind=None)
        steps.take(rules)
        check(steps, rules)
        if number:
            assert len(steps.written) == 3
            # Whatever an event has left or come to is told to those who sum by owner and day.
            now = {k: (r["owner_node"], k[0]) for k, r in steps.rows[SESSION_OF].items()}
            moved = set(now.items()) ^ set(before.items())
            told = {
                (r["owner_node"], r.get("day") or r["event_date"])
                for t in (SESSION_OF, "silver.vacated_session")
                for r in steps.rows[t].values()
                if r["_batch"] == steps.seq
            }
            assert {owner for _, owner in moved if owner[0]} <= told
    kept = dict(steps.events)
    once = Memory(spark)
    once.rows[TRAFFIC] = steps.rows[TRAFFIC]
    once.deliver(dice.sample(list(kept.values()), len(kept)))
    once.take(rules)
    for table in (SESSION_OF, "silver.session"):
        assert steps.facts(table) == once.facts(table)
    once.take(rules, full=True)
    assert not once.written, "a rebuild writes nothing"
    other = rules.model_copy(update={"inactivity_minutes": 10})
    check(steps.take(other, full=True), other)


SESSION_OF = "silver.event_session"


def check(memory: Memory, rules: SessionRules) -> None:
    """Every session and every owner is what plain loops say."""
    expected = visits.sessions(memory.counting(), rules)
    assert memory.visits() == {frozenset(e["id"] for e in s) for s in expected}
    owners = {k: o for s in expected for k, o in visits.owners(s).items()}
    assert memory.owners() == owners
    session = {r["event_id"]: r for r in memory.rows[SESSION_OF].values()}
    for s in expected:
        key = session[s[0]["id"]]
        row = memory.rows["silver.session"][key["session_date"], key["session_id"]]
        facts = session_facts(s)
        assert {k: row[k] for k in facts} == facts
