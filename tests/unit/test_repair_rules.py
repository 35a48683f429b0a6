"""conf/repairs.yaml: what is refused before anything runs, and what a rule may set."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakecdp.bronze.mapping import load_sources
from lakecdp.platform.errors import ConfigError
from lakecdp.platform.settings import Conf, load_settings
from lakecdp.silver.repair_rules import RepairRules, settable


def load(folder: Path, text: str) -> RepairRules:
    (folder / "repairs.yaml").write_text(text)
    conf = Conf(folder)
    return RepairRules.load(conf, load_sources(conf, load_settings(conf, "demo", lake="lake")))


def test_the_shipped_rules_are_right_and_each_says_why() -> None:
    conf = Conf()
    rules = RepairRules.load(conf, load_sources(conf, load_settings(conf, "demo", lake="lake")))
    assert {r.table for r in rules.repairs} == {"order_line", "event", "attribute"}
    # Two of quantity, price and amount tell the third: all three can be repaired.
    assert {c for r in rules.repairs if r.table == "order_line" for c in r.values} == {
        "quantity", "unit_price", "amount",
    }  # fmt: skip
    assert {"city", "region", "birthday"} <= set(rules.attributes)
    assert [r.name for r in rules.of("attribute", "crm").repairs] == []
    assert [r.name for r in rules.of("attribute", "online_retail").repairs] == [
        "country_names_of_the_shop"
    ]


def test_keys_and_what_is_derived_cannot_be_set() -> None:
    assert not {"order_id", "line_id", "source", "owner_node", "order_date", "repairs"} & set(
        settable("order_line")
    )
    assert {"quantity", "ordered_at", "category"} <= set(settable("order_line"))
    assert settable("attribute", ["city", "source"]) == ["observed_at", "city"]


RULE = """
repairs:
  - name: one
    table: order_line
    when: quantity IS NULL
    set: {quantity: 1}
    why: tills leave it out
outliers:
  - name: many
    table: order_line
    when: quantity > 100
    why: rare
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("table: order_line\n    when: quantity IS", "table: order\n    when: quantity IS", 4, "order_line"),
        ("{quantity: 1}", "{quantty: 1}", 6, "it has quantity, "),
        ("{quantity: 1}", "{order_id: 1}", 6, "`order_id` is no column of silver.order_line that a rule can set"),
        ("    why: tills leave it out\n", "", 3, "`repairs.0.why` is missing"),
        ("name: many", "name: one", 9, "the name `one` is given twice"),
        ("    why: rare", "    sources: [pso]\n    why: rare", 12, "no source `pso`; there are .*pos"),
        ("    set: {quantity: 1}\n", "    set: {}\n", 6, "set"),
        ("    why: rare", "    why: rare\n    wy: rare", 13, "did you mean `why`"),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    assert old in RULE
    with pytest.raises(ConfigError, match=says) as e:
        load(tmp_path, RULE.replace(old, new))
    assert e.value.line == line
    assert e.value.file == str(tmp_path / "repairs.yaml")


def test_a_change_of_a_rule_changes_the_meaning_of_the_sources_it_is_for(tmp_path: Path) -> None:
    rules = load(tmp_path, RULE)
    other = load(tmp_path, RULE.replace("quantity: 1", "quantity: 2"))
    told = load(tmp_path, RULE.replace("rare", "seldom"))
    only = load(tmp_path, RULE.replace("    why: rare", "    sources: [pos]\n    why: rare"))
    assert rules.dump(["order_line"], "pos") != other.dump(["order_line"], "pos")
    assert rules.dump(["order_line"], "pos") == told.dump(["order_line"], "pos")
    assert rules.dump(["event"], "pos") == []
    assert rules.dump(["order_line"], "pos") == only.dump(["order_line"], "pos")
    assert len(only.dump(["order_line"], "app_events")) == 1
