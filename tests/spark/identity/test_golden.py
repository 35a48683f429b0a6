"""The golden record: each criterion worked out by hand, and all of them against plain Python."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from lakecdp.identity import golden
from lakecdp.identity.golden_rules import GoldenRules, load
from lakecdp.platform.settings import Conf

pytestmark = pytest.mark.spark

TODAY = date(2026, 11, 1)
SOURCES = ("app", "crm", "pos", "shop")
TYPES = ("member_id", "phone", "cookie")
RULES = """
default: {by: [recency], junk: {values: [unknown, '?'], patterns: ['x+']}}
attributes:
  city: {by: [source, recency], sources: [pos, crm]}
  region: {by: [agreement, recency]}
  level: {type: category, by: [identifier, agreement], values: {Gold: [金卡, g], Silver: [s]}}
  income: {type: number, by: [agreement], junk: {values: ['0']}}
  email_domain: {by: [recency], max_age_days: 30}
  shop: {by: [source], sources: [app], max_age_days: 100}
  gender: {by: [agreement]}
"""
# owner, source, value, day of October or date; node 1 and 2 are member ids, 3 a phone, 4 a cookie.
Said = tuple[int, str, str, int]
KIND = {1: "member_id", 2: "member_id", 3: "phone", 4: "cookie", 5: None}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> GoldenRules:
    folder = tmp_path_factory.mktemp("golden")
    (folder / "golden.yaml").write_text(RULES)
    (folder / "identity.yaml").write_text(
        "types: {" + ", ".join(f"{t}: {{priority: {i}}}" for i, t in enumerate(TYPES, 1)) + "}"
    )
    (folder / "sources").mkdir()
    shipped = (Path(Conf().shipped) / "sources" / "crm.yaml").read_text()
    for name in SOURCES:
        text = shipped.replace("source: crm", f"source: {name}")
        (folder / "sources" / f"{name}.yaml").write_text(text)
    return load(Conf(folder))


def moment(day: int) -> datetime:
    """Noon of a day of October 2026; below 1 of the days before."""
    return datetime(2026, 10, 1, 12, tzinfo=UTC).replace(tzinfo=None) + timedelta(days=day - 1)


CASES: list[tuple[str, str, list[Said], tuple[Any, ...] | None]] = [
    # name, attribute, statements -> value, source, node, rule, candidates, agreeing, alternatives
    ("one value", "city", [(1, "crm", " Leeds ", 1)], ("Leeds", "crm", 1, "only value", 1, 1, [])),
    (
        "all agree; the statement is the best one",
        "city",
        [(1, "crm", "leeds", 9), (3, "pos", "Leeds", 1)],
        ("Leeds", "pos", 3, "only value", 2, 2, []),
    ),
    (
        "the source named first, however old",
        "city",
        [(1, "crm", "York", 9), (3, "pos", "Leeds", 1), (4, "app", "Hull", 20)],
        ("Leeds", "pos", 3, "source", 3, 1, ["York", "Hull"]),
    ),
    (
        "sources not named come last, then recency",
        "city",
        [(1, "shop", "York", 9), (3, "app", "Leeds", 10)],
        ("Leeds", "app", 3, "recency", 2, 1, ["York"]),
    ),
    (
        "equal source and time: a tie, by value in order, whoever says it",
        "city",
        [(3, "crm", "York", 9), (2, "crm", "Hull", 9)],
        ("Hull", "crm", 2, "tie", 2, 1, ["York"]),
    ),
    (
        "tie: the source in order comes before the value",
        "city",
        [(3, "app", "York", 9), (2, "shop", "Hull", 9)],
        ("York", "app", 3, "tie", 2, 1, ["Hull"]),
    ),
    (
        "tie between identifiers of one value: the smaller",
        "city",
        [(2, "crm", "York", 9), (1, "crm", "York", 9)],
        ("York", "crm", 1, "only value", 2, 2, []),
    ),
    (
        "two sources outvote one with three identifiers",
        "region",
        [
            (1, "crm", "North", 9),
            (2, "crm", "north", 8),
            (3, "crm", "North", 7),
            (1, "pos", "South", 1),
            (3, "app", " SOUTH", 2),
        ],
        ("SOUTH", "app", 3, "agreement 2 of 3 sources", 5, 2, ["North"]),
    ),
    (
        "equal sources: identifiers decide",
        "region",
        [(1, "crm", "North", 1), (2, "crm", "North", 1), (3, "crm", "South", 9)],
        ("North", "crm", 1, "agreement 2 of 3 identifiers", 3, 2, ["South"]),
    ),
    (
        "equal agreement: the later one",
        "region",
        [(1, "crm", "North", 1), (2, "pos", "South", 2)],
        ("South", "pos", 2, "recency", 2, 1, ["North"]),
    ),
    (
        "spaces within do not part values",
        "region",
        [(1, "crm", "New  York", 1), (2, "pos", "new york", 1), (3, "app", "Ohio", 9)],
        ("New  York", "crm", 1, "agreement 2 of 3 sources", 3, 2, ["Ohio"]),
    ),
    (
        "the strongest identifier; spellings are one value; what is on no list never wins",
        "level",
        [(4, "crm", "s", 9), (3, "pos", "金卡", 1), (1, "app", "bronze", 1), (4, "app", "S", 2)],
        ("Gold", "pos", 3, "identifier", 3, 1, ["Silver"]),
    ),
    (
        "equal identifiers: agreement",
        "level",
        [(1, "crm", "gold", 1), (1, "pos", "G", 1), (2, "app", "silver", 9)],
        ("Gold", "crm", 1, "agreement 2 of 3 sources", 3, 2, ["Silver"]),
    ),
    (
        "an identifier without a known type is the weakest",
        "level",
        [(5, "crm", "gold", 9), (4, "crm", "silver", 1)],
        ("Silver", "crm", 4, "identifier", 2, 1, ["Gold"]),
    ),
    (
        "numbers agree in any form; words and junk never win",
        "income",
        [
            (1, "crm", "+012.50", 1),
            (2, "pos", "12.5", 2),
            (3, "app", "much", 9),
            (1, "app", "0", 9),
            (1, "shop", "-0.0", 9),
            (4, "shop", "1e3", 9),
            (4, "crm", "100", 9),
        ],
        ("12.5", "pos", 2, "agreement 2 of 2 sources", 3, 2, ["100"]),
    ),
    (
        "large numbers keep their zeros",
        "income",
        [(1, "crm", "1200", 1)],
        ("1200", "crm", 1, "only value", 1, 1, []),
    ),
    (
        "30 days old may win, 31 may not",
        "email_domain",
        [(1, "crm", "a.org", 2), (2, "crm", "b.org", 1)],
        ("a.org", "crm", 1, "only value", 1, 1, []),
    ),
    ("all too old", "email_domain", [(1, "crm", "a.org", 1)], None),
    (
        "what is dated after the run date is not too old",
        "email_domain",
        [(1, "crm", "a.org", 60), (2, "crm", "b.org", 31)],
        ("a.org", "crm", 1, "recency", 2, 1, ["b.org"]),
    ),
    ("junk by word and by pattern", "city", [(1, "crm", "UNKNOWN", 3), (2, "pos", "xxx", 3)], None),
    ("nothing but blanks", "city", [(1, "crm", " \u3000", 3)], None),
    (
        "genders by their words",
        "gender",
        [(1, "crm", " 女 ", 1), (2, "pos", "Female", 2), (3, "app", "M", 9), (4, "app", "?", 9)],
        ("female", "pos", 2, "agreement 2 of 3 sources", 3, 2, ["male"]),
    ),
    (
        "days, with or without a time; no others",
        "birthday",
        [
            (1, "crm", "1990-02-28T00:00", 1),
            (2, "pos", "1990", 9),
            (3, "app", "1990-02-30", 9),
            (4, "app", "1990-02-281", 9),
        ],
        ("1990-02-28", "crm", 1, "only value", 1, 1, []),
    ),
    (
        "an attribute without a rule: the default's",
        "hobby",
        [(1, "crm", "chess", 1), (2, "pos", "go", 2)],
        ("go", "pos", 2, "recency", 2, 1, ["chess"]),
    ),
    (
        "five others at most, best first",
        "hobby",
        [(1, s, f"{s}{n}", n) for n in (1, 2) for s in SOURCES],
        ("app2", "app", 1, "tie", 8, 1, ["crm2", "pos2", "shop2", "app1", "crm1"]),
    ),
    ("where it was seen is no attribute", "seen_in", [(1, "crm", "crm", 1)], None),
]  # fmt: skip


def attributes(spark: SparkSession, rows: list[tuple[Any, ...]]) -> DataFrame:
    """Rows (node, name, source, value, observed_at, type) as silver.attribute."""
    ids = "ARRAY<STRUCT<type: STRING, node_id: BIGINT>>"
    ddl = f"owner_node BIGINT, name STRING, source STRING, value STRING, observed_at TIMESTAMP, identifiers {ids}"
    return spark.createDataFrame(
        [(n, a, s, v, at, [(kind, n)] if kind else []) for n, a, s, v, at, kind in rows], ddl
    )


def chosen(
    spark: SparkSession,
    rules: GoldenRules,
    said: list[tuple[Any, ...]],
    links: dict[int, int],
    run_date: date = TODAY,
) -> dict[tuple[int, str], tuple[Any, ...]]:
    """The golden record of statements, by customer and attribute."""
    linked = spark.createDataFrame(list(links.items()), "node_id BIGINT, customer_id BIGINT")
    stated = golden.statements(attributes(spark, said), linked, rules, run_date)
    return {
        (r["customer_id"], r["attribute"]): (
            *(r[c] for c in ("value", "source", "node_id", "rule", "candidates", "agreeing")),
            [tuple(a) for a in r["alternatives"]],
            r["observed_at"],
        )
        for r in golden.choose(stated, rules).collect()
    }


def test_every_criterion_and_tie_as_worked_out_by_hand(
    spark: SparkSession, rules: GoldenRules
) -> None:
    said, links = [], {}
    for number, (_, attribute, statements, _) in enumerate(CASES, 1):
        for node, source, value, day in statements:
            said.append((number * 10 + node, attribute, source, value, moment(day), KIND[node]))
            links[number * 10 + node] = number
    found = chosen(spark, rules, said, links)
    for number, (name, attribute, statements, wanted) in enumerate(CASES, 1):
        mine = found.pop((number, attribute), None)
        if wanted is None:
            assert mine is None, name
            continue
        assert mine is not None, name
        value, source, node, rule, candidates, agreeing, others, at = mine
        told = (value, source, node % 10, rule, candidates, agreeing, [o[0] for o in others])
        assert told == wanted, name
        days = {(n, s): d for n, s, _, d in statements}
        if len(days) == len(statements):
            assert at == moment(days[node % 10, source]), name
    assert not found


def plain(
    said: list[tuple[Any, ...]], links: dict[int, int], run_date: date
) -> dict[tuple[int, str], tuple[Any, ...]]:
    """The rules above once more: by eliminating statements, criterion by criterion."""
    names = ("city", "region", "level", "income", "email_domain", "shop", "gender", "hobby")
    by = {
        "city": ["source", "recency"],
        "region": ["agreement", "recency"],
        "level": ["identifier", "agreement"],
        "income": ["agreement"],
        "email_domain": ["recency"],
        "shop": ["source"],
        "gender": ["agreement"],
        "hobby": ["recency"],
    }
    best_sources = {"city": ["pos", "crm"], "shop": ["app"]}
    ages = {"email_domain": 30, "shop": 100}
    words = {
        "level": {"gold": "Gold", "金卡": "Gold", "g": "Gold", "silver": "Silver", "s": "Silver"},
        "gender": {"f": "female", "女": "female", "m": "male", "other": "other"},
    }
    out: dict[tuple[int, str], tuple[Any, ...]] = {}

    def read(name: str, text: str) -> str | None:
        text = text.strip()
        if not text or text.lower() in ("unknown", "?") or set(text) == {"x"}:
            return None
        if name in words:
            return words[name].get(text.lower())
        if name == "income":
            try:
                number = float(text)
            except ValueError:
                return None
            return None if number == 0 else f"{number:g}"
        return text

    def last(order: list[str], item: str) -> int:
        return order.index(item) if item in order else len(order)

    usable = [
        {
            "of": links[n],
            "name": a,
            "source": s,
            "value": read(a, v),
            "at": at,
            "node": n,
            "type": k,
        }
        for n, a, s, v, at, k in said
        if n in links and a in names
    ]
    usable = [
        u
        for u in usable
        if u["value"] is not None
        and (u["name"] not in ages or (run_date - u["at"].date()).days <= ages[u["name"]])
    ]
    usable.sort(key=lambda u: (u["of"], u["name"]))
    for (customer, name), group in groupby(usable, key=lambda u: (u["of"], u["name"])):
        rows = list(group)
        left, ranking, rule = rows, [], ""
        while left:
            winner, why = _winner(left, rows, by[name], best_sources.get(name, []), last)
            ranking.append(winner)
            rule = rule or why
            left = [r for r in left if r["value"].lower() != winner["value"].lower()]
        first = ranking[0]
        same = [r for r in rows if r["value"].lower() == first["value"].lower()]
        out[customer, name] = (
            first["value"], first["source"], first["node"],
            "only value" if len(ranking) == 1 else rule,
            len(rows), len(same),
            [(r["value"], r["source"], r["at"]) for r in ranking[1:6]],
            first["at"],
        )  # fmt: skip
    return out


def _winner(
    left: list[dict[str, Any]],
    rows: list[dict[str, Any]],
    by: list[str],
    sources: list[str],
    last: Any,
) -> tuple[dict[str, Any], str]:
    """The best of the statements left, and what told the last other value apart."""

    def voices(row: dict[str, Any], of: str) -> int:
        return len({r[of] for r in rows if r["value"].lower() == row["value"].lower()})

    def keep(pool: list[dict[str, Any]], score: Any) -> list[dict[str, Any]]:
        top = max(score(r) for r in pool)
        return [r for r in pool if score(r) == top]

    score = {
        "source": [("source", lambda r: -last(sources, r["source"]))],
        "recency": [("recency", lambda r: r["at"])],
        "identifier": [("identifier", lambda r: -last(list(TYPES), r["type"]))],
        "agreement": [
            ("sources", lambda r: voices(r, "source")),
            ("identifiers", lambda r: voices(r, "node")),
        ],
    }
    pool, why = left, ""
    for criterion in by:
        for label, value in score[criterion]:
            pool = keep(pool, value)
            if not why and len({r["value"].lower() for r in pool}) == 1:
                what = {"sources": "source", "identifiers": "node"}.get(label)
                why = label
                if what:
                    some, all_ = voices(pool[0], what), len({r[what] for r in rows})
                    why = f"agreement {some} of {all_} {label}"
    pool = keep(pool, lambda r: r["at"])
    pool.sort(key=lambda r: (r["source"], r["value"], r["node"]))
    return pool[0], why or "tie"


WORDS = {
    "city": ("Leeds", "leeds", " York", "unknown", ""),
    "region": ("North", "south", "SOUTH", "East"),
    "level": ("gold", "G", "金卡", "s", "bronze"),
    "income": ("1.50", "1.5", "2", "0", "much"),
    "email_domain": ("a.org", "b.org", "A.ORG"),
    "shop": ("1", "2", "3"),
    "gender": ("F", "女", "m", "?", "Other"),
    "hobby": ("go", "chess", "Go", "xxx", "tea", "art", "ski", "jazz", "golf"),
    "seen_in": ("crm",),
}


def world(seed: int) -> tuple[list[tuple[Any, ...]], dict[int, int]]:
    """Random statements of sixty identifiers, and who they belong to (some: to nobody)."""
    r = random.Random(seed)
    kinds = {n: r.choice((*TYPES, None)) for n in range(1, 61)}
    links = {n: r.randrange(1, 16) for n in kinds if r.random() < 0.9}
    said = [
        (n, name, s, r.choice(words), moment(r.choice((-69, -68, 1, 2, 3, 3, 40))), kinds[n])
        for n in kinds
        for name, words in WORDS.items()
        for s in SOURCES
        if r.random() < 0.5
    ]
    return said, links


@pytest.mark.parametrize("seed", [1, 2])
def test_any_world_in_any_order_is_as_plain_python_has_it(
    spark: SparkSession, rules: GoldenRules, seed: int
) -> None:
    said, links = world(seed)
    wanted = plain(said, links, TODAY)
    why = {v[3].split(" ")[0] for v in wanted.values()}
    assert why == {"only", "source", "recency", "agreement", "identifier", "tie"}
    assert chosen(spark, rules, said, links) == wanted
    random.Random(seed).shuffle(said)
    assert chosen(spark, rules, said, links) == wanted
