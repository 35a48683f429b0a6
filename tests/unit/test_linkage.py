"""Linkage without a lake: rules, kinds, accuracy with known truth, groups and one-to-one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tests.linkage_world import two_files

from lakecdp.identity.linkage.decide import BEATEN, IMPLIED, LINK, REVIEW, Pairs, decide
from lakecdp.identity.linkage.engine import Duck
from lakecdp.identity.linkage.evaluate import Score, evaluate, read, rules_for, truth_of
from lakecdp.identity.linkage.infer import infer
from lakecdp.identity.linkage.kinds import KINDS, Field, clean
from lakecdp.identity.linkage.model import Model
from lakecdp.identity.linkage.rules import LinkageRules, load
from lakecdp.platform.errors import ConfigError, UsageError

DATA = Path(os.environ.get("LAKECDP_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
KINDS_HERE = {
    "name": "given_name", "surname": "surname", "birthday": "date", "city": "city",
    "phone": "partial_phone",
}  # fmt: skip


def rules(**more: object) -> LinkageRules:
    return LinkageRules.model_validate({"columns": KINDS_HERE, "pairs": "between", **more})


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("columns: {name: given_nam}", 1, "given_name"),
        ("columns:\n  name: given_name\nthresholds: {link: 0.3, review: 0.6}", 3, "is above"),
        ("columns:\n  name: given_name\nblocking: [[name, city]]", 1, "names `city`"),
        ("columns:\n  name: given_name\nthreshold: 0.9", 3, "unknown key `threshold`"),
        ("columns:\n  name: {kind: city, day_first: true}", 2, "kind date only"),
        ("columns:\n  'First Name': given_name", 1, "no name for a column"),
    ],
)
def test_wrong_rules_are_refused_with_file_and_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    path = tmp_path / "shops.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as e:
        load(path)
    assert f"shops.yaml:{line}" in str(e.value)


def test_values_come_to_one_form() -> None:
    cases = [
        ("given_name", "  José-María ", "jose maria"),
        ("surname", "O'Brien", "obrien"),
        ("surname", "n/a", None),
        ("full_name", "张 伟", "张 伟"),
        ("date", "1980-3-4", "19800304"),
        ("date", "04/03/1980", "19800304"),
        ("date", "19800304", "19800304"),
        ("date", "04031980", "19800304"),
        ("date", "12/31/1980", "19801231"),
        ("date", "unknown", None),
        ("phone", "+44 (0)20 7946-0000", "4402079460000"),
        ("phone", "0000000000", None),
        ("partial_phone", "138****1234", "138****1234"),
        ("email", " Ann@Shop.DE ", "ann@shop.de"),
        ("email", "none", None),
        ("identifier", "AB-12 34", "ab1234"),
        ("address", "12 High Street", "12 high st"),
        ("number", "abc", None),
    ]
    engine = Duck()
    engine.give("t", pa.table({"x": [c[1] for c in cases], "i": list(range(len(cases)))}))
    for i, (kind, _, wanted) in enumerate(cases):
        sql = clean(engine.dialect, Field("v_x", kind), "x")
        assert engine.one(f"SELECT {sql} FROM t WHERE i = {i}") == [wanted], cases[i]


def test_kinds_are_told_by_names_and_values() -> None:
    table = pd.DataFrame(
        {
            "rec_id": [f"r{i}" for i in range(60)],
            "Vorname": ["anna", "bert", "carl"] * 20,
            "last_name": ["x", "y", "z"] * 20,
            "geb": ["1980-01-02", "1990-03-04", "2000-05-06"] * 20,
            "kontakt": [f"a{i}@b.de" for i in range(30)] * 2,
            "mobile": ["138****1234", "139****5678", ""] * 20,
            "zip": ["12345", "54321", "11111"] * 20,
            "leer": [""] * 60,
        }
    )
    assert infer(table) == {
        "Vorname": "given_name", "last_name": "surname", "geb": "date", "kontakt": "email",
        "mobile": "partial_phone", "zip": "postcode",
    }  # fmt: skip


def test_two_files_are_linked_one_to_one_without_labels() -> None:
    table = two_files()
    found = evaluate(table, rules(), table["person"])
    assert found.linked is not None
    assert found.linked.all_true == 266
    assert found.linked.f1 >= 0.98
    assert set(found.model.free) == {"one", "two"}
    linked = found.pairs[found.pairs["decision"] == "link"]
    assert linked["a"].is_unique
    assert linked["b"].is_unique
    again = evaluate(table, rules(), table["person"])
    assert again.model.to_json() == found.model.to_json()
    pd.testing.assert_frame_equal(again.pairs, found.pairs)
    assert Model.from_json(found.model.to_json()) == found.model
    text = found.model.to_json() + " ".join(found.pairs["evidence"])
    assert not [s for s in set(table["surname"]) if len(s) > 5 and s in text]


def test_what_has_no_partner_is_left_alone() -> None:
    table = two_files()
    strangers = pd.concat(
        [table[table["source"] == "one"].head(200), table[table["source"] == "two"].tail(60)]
    )
    mine = strangers.reset_index(drop=True)
    found = evaluate(mine, rules(), mine["person"])
    assert found.linked is not None
    assert found.linked.all_true == 0
    assert found.linked.found <= 1


def test_every_kind_can_be_trained_and_be_empty() -> None:
    values = ["12", "ab cd", "", "1980-01-02", "138****1234"]
    table = pd.DataFrame({f"x_{k}": values * 4 for k in KINDS} | {"source": "one"})
    every = LinkageRules.model_validate({"columns": {f"x_{k}": k for k in KINDS}})
    assert evaluate(table, every).model.records == 20
    table[[f"x_{k}" for k in KINDS]] = ""
    assert evaluate(table, every).pairs.empty


def pairs(*rows: tuple[int, int, float, float], source: dict[int, int] | None = None) -> Pairs:
    a, b, p, w = (np.array(x) for x in zip(*rows, strict=True))
    of = source or {}
    sources = [np.array([of.get(int(i), 0) for i in x]) for x in (a, b)]
    return Pairs(a, b, p, w, *sources)


def test_the_better_pair_takes_the_record() -> None:
    source = {1: 0, 2: 0, 11: 1, 12: 1}
    given = pairs((1, 11, 0.99, 6.6), (1, 12, 0.97, 5.0), (2, 12, 0.8, 2.0), source=source)
    assert decide(given, link=0.7, free={0, 1}).tolist() == [LINK, BEATEN, LINK]
    assert decide(given, link=0.9, free={0, 1}).tolist() == [LINK, BEATEN, REVIEW]
    assert decide(given, link=0.7, free={1}).tolist() == [LINK, BEATEN, LINK]
    # Nobody free of duplicates: 1, 11 and 12 join; 2 speaks for one of the three with 2 bits, and
    # against the other two with 3 each.
    assert decide(given, link=0.7).tolist() == [LINK, LINK, REVIEW]


def test_ties_go_to_the_smaller_ids() -> None:
    source = {1: 0, 2: 0, 11: 1}
    given = pairs((2, 11, 0.9, 3.2), (1, 11, 0.9, 3.2), source=source)
    assert decide(given, link=0.7, free={0, 1}).tolist() == [BEATEN, LINK]


def test_one_mistaken_pair_does_not_chain_two_groups() -> None:
    clique = [(1, 2), (1, 3), (2, 3), (11, 12), (11, 13), (12, 13)]
    given = pairs(*((a, b, 0.999, 10.0) for a, b in clique), (3, 11, 0.9, 3.2))
    assert decide(given, link=0.7).tolist() == [*[LINK] * 6, REVIEW]
    # The pairs 1-3 and 2-4 speak for it as well; what links imply is no question for a reviewer.
    given = pairs((1, 2, 0.99, 6.0), (2, 3, 0.99, 6.0), (1, 3, 0.5, 0.0))
    assert decide(given, link=0.7).tolist() == [LINK, LINK, IMPLIED]


def test_scores() -> None:
    score = Score(found=8, true=6, all_true=12)
    assert (score.precision, score.recall) == (0.75, 0.5)
    assert score.f1 == pytest.approx(0.6)


def test_files_are_read_and_refused(tmp_path: Path) -> None:
    one = tmp_path / "one.csv"
    one.write_text("Id;First Name;Who\n1; Anna ;p-1\n2;Bert;p-2\n")
    table = read([one])
    assert list(table.columns) == ["first_name", "who", "source"]
    assert truth_of(table, "Who", r"p-(\d)").tolist() == ["1", "2"]
    with pytest.raises(UsageError, match="no column `nobody`"):
        truth_of(table, "nobody", None)
    with pytest.raises(UsageError, match="matches no value"):
        truth_of(table, "who", "q")
    with pytest.raises(UsageError, match="no file"):
        read([tmp_path / "two.csv"])
    with pytest.raises(UsageError, match="`plz`"):
        evaluate(table, LinkageRules.model_validate({"columns": {"plz": "postcode"}}))


@pytest.mark.data
def test_febrl4_is_linked() -> None:
    files = [DATA / "febrl" / f"dataset4{x}.csv.gz" for x in "ab"]
    if not files[0].is_file():
        pytest.skip(f"{files[0]} is not there")
    table = read(files)
    found = evaluate(
        table, rules_for(table, 2, ["rec_id"]), truth_of(table, "rec_id", r"rec-(\d+)")
    )
    assert found.linked is not None
    assert found.linked.all_true == 5000
    assert found.linked.f1 >= 0.999
