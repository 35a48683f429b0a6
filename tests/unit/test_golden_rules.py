"""conf/golden.yaml: what is accepted, what is refused and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakecdp.identity.golden_rules import GoldenRules, load
from lakecdp.platform.errors import ConfigError
from lakecdp.platform.settings import Conf

SHOP = """
source: {name}
files: "*.csv"
format: csv
lawful_basis: contract
channel: web
columns: {{id: string}}
identifiers: {{member_id: id}}
targets: [{{table: attribute, columns: {{observed_at: "TIMESTAMP'2026-01-01'"}}, attributes: {{city: id}}}}]
"""


def rules(folder: Path, text: str, identity: str | None = None) -> GoldenRules:
    (folder / "sources").mkdir(exist_ok=True)
    for name in ("crm", "shop"):
        (folder / "sources" / f"{name}.yaml").write_text(SHOP.format(name=name))
    (folder / "golden.yaml").write_text(text)
    if identity:
        (folder / "identity.yaml").write_text(identity)
    return load(Conf(folder))


def test_the_shipped_rules_load_and_name_no_source() -> None:
    shipped = load(Conf())
    assert set(shipped.attributes) == {"gender", "birthday", "registered_on"}
    assert shipped.default.by == ("recency",)
    assert not any(r.sources for r in shipped.every), "a company's own sources replace the examples"
    assert not shipped.ages
    birthday = shipped.attributes["birthday"]
    assert (birthday.type, birthday.by) == ("date", ("agreement", "recency"))
    assert {"1900-01-01", "unknown"} <= set(birthday.junk_values)
    assert shipped.attributes["registered_on"].type == "date"


def test_an_attribute_takes_from_the_default_what_it_leaves_out(tmp_path: Path) -> None:
    found = rules(
        tmp_path,
        "default: {by: [source, recency], sources: [shop, crm], max_age_days: 90, junk: {values: [X]}}\n"
        "attributes:\n"
        "  city: {junk: {values: [' Y ']}}\n"
        "  level: {type: category, values: {Gold: [金卡, g]}, max_age_days: null}\n"
        "  income: {type: number, by: [identifier], max_age_days: 5}\n",
    )
    city, level, income = (found.attributes[n] for n in ("city", "level", "income"))
    assert (city.by, city.sources, city.max_age_days) == (
        ("source", "recency"),
        ("shop", "crm"),
        90,
    )
    assert city.junk_values == ("x", "y")
    assert level.max_age_days is None
    assert level.spellings == {"gold": "Gold", "金卡": "Gold", "g": "Gold"}
    assert (income.by, income.max_age_days, income.type) == (("identifier",), 5, "number")
    assert found.attributes["gender"].spellings["女"] == "female"
    assert found.ages


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "attributes:\n  city:\n    by: [source]\n    sources:\n      - crm\n      - shopp\n",
            r"golden.yaml:6: there is no source `shopp`; the sources are crm, shop$",
        ),
        ("default:\n  by: [source]\n", r":2: `by` has `source`, but no `sources` are listed"),
        (
            "attributes:\n  city:\n    by: [source]\n",
            r":3: `by` has `source`, but no `sources` are listed",
        ),
        (
            "attributes:\n  city:\n    by: [recency]\n    sources: [crm]\n",
            r":4: `sources` are listed, but `by` has no `source`",
        ),
        (
            "attributes:\n  city:\n    by:\n      - recency\n      - recency\n",
            r":5: `recency` stands twice in `by`",
        ),
        ("default:\n  by: [newest]\n", r":2: `default.by.0` is 'newest': input should be 'source'"),
        ("default:\n  bye: [recency]\n", r":2: unknown key `default.bye` \(did you mean `by`\?\)"),
        ("attributes:\n  City: {}\n", r":2: `attributes.City"),
        (
            "attributes:\n  gender:\n    type: text\n",
            r":3: `gender` is of type gender wherever it is used; it cannot be text",
        ),
        (
            "attributes:\n  level:\n    type: category\n",
            r":3: the type category needs `values`",
        ),
        (
            "attributes:\n  city:\n    values: {a: [b]}\n",
            r":3: `values` go with the type category, and not with text",
        ),
        (
            "attributes:\n  level:\n    type: category\n    values:\n      gold: [g]\n      green: [G]\n",
            r":6: `G` stands for both gold and green",
        ),
        ("default:\n  max_age_days: 0\n", r":2: `default.max_age_days` is 0"),
        ("default:\n  junk: {patterns: ['(']}\n", r":2: .*'\(' is no regular expression"),
    ],
)
def test_wrong_rules_are_refused_with_their_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rules(tmp_path, text)


def test_the_fingerprint_changes_with_whatever_decides(tmp_path: Path) -> None:
    strong = "types: {phone: {priority: 1}, email: {priority: 2}}\n"
    weak = "types: {phone: {priority: 2}, email: {priority: 1}}\n"
    texts = [
        "",
        "default: {max_age_days: 3}",
        "attributes: {city: {type: number}}",
        "attributes: {gender: {junk: {values: [m]}}}",
        "attributes: {gender: {by: [agreement]}}",
        "default: {by: [source], sources: [crm, shop]}",
        "default: {by: [source], sources: [shop, crm]}",
    ]
    seen = {rules(tmp_path, t, strong).fingerprint for t in texts}
    assert len(seen) == len(texts)
    assert rules(tmp_path, "", weak).fingerprint == rules(tmp_path, "", strong).fingerprint
    by = "default: {by: [identifier]}"
    assert rules(tmp_path, by, weak).fingerprint != rules(tmp_path, by, strong).fingerprint
