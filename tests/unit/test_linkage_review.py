"""The queue for review: answers become rows that conf/decisions takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.decisions import stated
from lakecdp.linkage import Question, asked, picked, write
from lakecdp.platform.errors import UsageError
from lakecdp.platform.settings import Conf

QUEUE = [
    Question(
        n,
        "shops",
        (("member_id", f"m{n}"), ("record_id", f"shops-{n}")),
        0.5,
        "name +5.0, city -2.0",
        {"name": ("anna", "anna"), "city": ("celle", "gera")},
    )
    for n in (1, 2, 3)
]


def test_a_pair_stands_side_by_side() -> None:
    assert list(QUEUE[0].lines()) == [
        "1. shops: member_id m1 and record_id shops-1, probability 0.500",
        "   name                = anna                                anna",
        "   city                  celle                               gera",
        "   evidence in bits: name +5.0, city -2.0",
    ]


def test_answers_by_number() -> None:
    assert [(q.number, same) for q, same in picked(QUEUE, [3], [1])] == [(1, False), (3, True)]
    with pytest.raises(UsageError, match="no pair 4 in the queue of 3"):
        picked(QUEUE, [4], [])
    with pytest.raises(UsageError, match="pair 2 is given both"):
        picked(QUEUE, [2], [2])


def test_answers_at_the_terminal() -> None:
    said = iter(["maybe", "Yes", "s", "q"])
    given = asked(QUEUE, lambda _: None, lambda _: next(said))
    assert [(q.number, same) for q, same in given] == [(1, True)]


def test_answers_are_decisions(tmp_path: Path) -> None:
    path = tmp_path / "decisions" / "reviewed.csv"
    write(path, [(QUEUE[0], True)], "Ann", "same hand", "2026-01-02")
    write(path, [(QUEUE[1], False)], "Ann", "father, son", "2026-01-03")
    conf = Conf(tmp_path)
    found = stated(conf, IdentityRules.load(conf))
    assert [(d.action, d.value_a, d.value_b, d.author, str(d.decided_on)) for d in found] == [
        ("link", "m1", "shops-1", "Ann", "2026-01-02"),
        ("unlink", "m2", "shops-2", "Ann", "2026-01-03"),
    ]
    assert found[1].reason == "father, son (shops 0.500: name +5.0, city -2.0)"
