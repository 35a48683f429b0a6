"""Any batches of records give what one go gives: the job's logic on tables held in memory."""

from __future__ import annotations

from collections import Counter

import pytest
from pyspark.sql import SparkSession
from tests.spark.identity.memory import Memory, rules_of, world

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
    reasons = {r["reason"] for r in steps.rows["identity.edge"].values()}
    assert reasons >= {None, "veto:member_id", "limit:device_id"}
    assert kinds.keys() >= {"create", "extend", "merge", "split"}

    links = steps.links()
    steps.take(rules, full=True)
    assert not steps.written, "a rebuild writes nothing"
    assert steps.links() == links
    steps.take(rules, full=False)
    assert not steps.written
