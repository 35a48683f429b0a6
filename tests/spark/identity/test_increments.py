"""Any batches of records give what one go gives: the job's logic on tables held in memory."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.spark.identity.memory import RULES, Decision, Memory, record, rules_of, world

from lakecdp.governance.identifiers import IdentityRules


@pytest.fixture(scope="module")
def rules() -> IdentityRules:
    return rules_of()


@pytest.mark.parametrize(("seed", "whole_below"), [(1, -1), (2, -1), (3, 10**9)])
def test_batches_give_what_one_go_gives(
    spark: SparkSession, rules: IdentityRules, seed: int, whole_below: int
) -> None:
    steps, once = Memory(spark), Memory(spark)
    kinds: Counter[str] = Counter()
    for number, part in enumerate(world(seed)):
        steps.deliver(part)
        kinds += steps.take(rules, full=number == 0, whole_below=whole_below).changes
        steps.check_ledger()
        once.deliver(part)
    once.take(rules, full=True)
    assert steps.facts("identity.edge") == once.facts("identity.edge")
    assert steps.facts("identity.node") == once.facts("identity.node")
    assert steps.groups() == once.groups()
    assert shared(steps) == expected_shared(steps)
    reasons = {r["reason"] for r in steps.rows["identity.edge"].values()}
    assert reasons >= {None, "veto:member_id", "limit:device_id"}
    assert kinds.keys() >= {"create", "extend", "merge", "split"}

    links = steps.links()
    steps.take(rules, full=True)
    assert not steps.written, "a rebuild writes nothing"
    assert steps.links() == links
    steps.take(rules, full=False)
    assert not steps.written


# What persons have decided when each delivery of `world` is taken in; 399 is the kiosk.
DECIDED: list[list[Decision]] = [
    [("link", 101, 399), ("unlink", 100, 200), ("block", 303), ("link", 102, 103)],
    [("link", 101, 399), ("unlink", 104, 304), ("block", 201), ("unlink", 105, 106)],
    [("unlink", 104, 304), ("unlink", 101, 399), ("link", 107, 4001), ("link", 108, 4901)],
]
EXPIRING = RULES.replace("cookie: {priority: 4,", "cookie: {priority: 4, expires_after_days: 9,")


@pytest.mark.parametrize(
    ("seed", "whole_below", "text"), [(11, -1, RULES), (12, 10**9, RULES), (13, -1, EXPIRING)]
)
def test_decisions_and_dates_give_what_one_go_gives(
    spark: SparkSession, seed: int, whole_below: int, text: str
) -> None:
    rules = rules_of(text)
    steps, once = Memory(spark), Memory(spark)
    days = [date(2026, 1, 20), date(2026, 1, 31), date(2026, 1, 26)]
    kinds: Counter[str] = Counter()
    for number, part in enumerate(world(seed)):
        for memory in (steps, once):
            memory.deliver(part)
            memory.run_date = days[number]
        steps.decide(DECIDED[number])
        steps.take(rules, full=number == 0, whole_below=whole_below)
        kinds.update(r["reason"] for r in steps.rows["identity.edge"].values())
        steps.check_ledger()
        steps.take(rules, full=False, whole_below=whole_below)
        assert not steps.written, "the same again writes nothing"
    once.decide(DECIDED[-1])
    once.take(rules, full=True)
    assert steps.facts("identity.edge") == once.facts("identity.edge")
    assert steps.facts("identity.node") == once.facts("identity.node")
    assert steps.groups() == once.groups()
    assert kinds.keys() >= {
        "unlink",
        "block:device_id",
        "block:phone",
        "withdrawn",
        "limit:device_id",
    }
    assert (kinds["expired:cookie"] > 0) == rules.expire
    links = steps.links()
    assert links[101] != links[399], "unlinked again"
    assert links[108] == links[4901], "an identifier that no record shows"
    removed = [r for r in steps.rows["identity.edge"].values() if r["status"] == "removed"]
    assert {r["removed_at"] is None for r in removed} == {False}
    assert {(r["source"], r["node_b"]) for r in removed} >= {("manual", 399), ("manual", 103)}


def shared(memory: Memory) -> set[int]:
    """Devices that are said to be shared."""
    return {n for (n,), r in memory.rows["identity.node"].items() if r["status"] == "shared"}


def expected_shared(memory: Memory) -> set[int]:
    """Devices (by the first digit of their ids, see `world`) with a vetoed pair, but no limit."""
    ends = {
        n
        for r in memory.rows["identity.edge"].values()
        if (r["reason"] or "").startswith("veto:")
        for n in (r["node_a"], r["node_b"])
        if str(n)[0] in "34"
    }
    found = {n for n in ends if memory.rows["identity.node"][n,]["status"] not in ("limit", "junk")}
    assert found, "the world has shared devices"
    return found


def test_a_device_is_shared_as_long_as_a_veto_keeps_somebody_apart_from_it(
    spark: SparkSession, rules: IdentityRules
) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    anna, ben, device = ("member_id", 101), ("member_id", 102), ("device_id", 301)

    def seen(key: str, minute: int, *ids: tuple[str, int]) -> tuple[str, Any]:
        when = at + timedelta(minutes=minute)
        return "silver.event", record("silver.event", key, when, list(ids))

    memory = Memory(spark)
    memory.deliver(
        [seen("a", 0, anna, device), seen("c", 3, ("member_id", 103), ("device_id", 302))]
    )
    memory.take(rules, full=True)
    assert shared(memory) == set()
    memory.deliver([seen("b", 1, ben, device)])
    memory.take(rules, full=False)
    assert shared(memory) == {301}
    # Seen again, it stays what it is, though nothing has to be grouped.
    memory.deliver([seen("d", 9, anna, device)])
    memory.take(rules, full=False)
    assert shared(memory) == {301}
    memory.deliver([seen("b", 1, ben)])
    memory.take(rules, full=False)
    assert shared(memory) == set()
    memory.take(rules, full=True)
    assert not memory.written
