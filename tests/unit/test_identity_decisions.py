"""conf/decisions/*.csv: what is accepted, what is refused and where."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.decisions import COLUMNS, Known, Stated, _agree, stated
from lakecdp.platform.errors import ConfigError
from lakecdp.platform.settings import Conf

HEADER = ",".join(COLUMNS)
LINK = 'link,member_id,M1,phone,+49 30 1,"Ana, support",called us,2026-10-01'
BLOCK = "block,device_id,till-7,,,Ana,the till of the shop,2026-10-02"


def read(tmp_path: Path, text: str) -> tuple[Stated, ...]:
    (tmp_path / "decisions").mkdir()
    (tmp_path / "decisions" / "support.csv").write_text(text, encoding="utf-8-sig")
    return stated(Conf(tmp_path), IdentityRules.load(Conf()))


def test_decisions_are_read_with_their_place(tmp_path: Path) -> None:
    link, block = read(tmp_path, f"{HEADER}\n{LINK}\n\n{BLOCK}\n")
    assert link.ends == (("member_id", "M1"), ("phone", "+49 30 1"))
    assert (link.author, link.decided_on, link.line) == ("Ana, support", date(2026, 10, 1), 2)
    assert block.ends == (("device_id", "till-7"),)
    assert block.line == 4


def test_without_files_nothing_is_decided() -> None:
    assert stated(Conf(), IdentityRules.load(Conf())) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", r"support\.csv:1: the columns must be action,type_a,"),
        (f"{HEADER}\nlink,member_id,M1\n", r":2: 3 fields where the header has 8"),
        (f"{HEADER}\n{LINK.replace('link', 'join', 1)}", r":2: `action` is 'join': it is link, "),
        (
            f"{HEADER}\n{LINK}\n{LINK.replace('phone', 'fax')}",
            r":3: `type_b` is 'fax', which is no",
        ),
        (f"{HEADER}\n{LINK.replace('2026-10-01', '1.10.2026')}", r":2: `decided_on` is no date"),
        (f"{HEADER}\n{LINK.replace('called us', '')}", r":2: `reason` is empty"),
        (f"{HEADER}\n{BLOCK.replace(',,', ',phone,')}", r":2: `type_b` must be empty: block "),
        (f'{HEADER}\nlink,"M1', r":2: not valid CSV"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


def known(line: int, action: str, *nodes: int) -> Known:
    what = Stated(action, "phone", "1", "phone", "2", "Ana", "why", date(2026, 1, 1), "d.csv", line)
    return Known(what, nodes, ("phone",) * len(nodes))


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        (
            [known(2, "link", 1, 2), known(3, "unlink", 1, 2)],
            r"^d.csv:3: there is another decision on the same identifiers \(d.csv:2\)$",
        ),
        (
            [known(2, "unlink", 1, 3), known(3, "link", 1, 2), known(4, "link", 2, 3)],
            r"^d.csv:2: links of these files join what this line unlinks$",
        ),
        (
            [known(2, "link", 1, 2), known(3, "block", 2)],
            r"^d.csv:2: an identifier to be linked is blocked \(d.csv:3\)$",
        ),
    ],
)
def test_contradictions_are_refused(decisions: list[Known], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _agree(decisions)


def test_what_agrees_is_accepted() -> None:
    _agree([known(2, "link", 1, 2), known(3, "unlink", 1, 3), known(4, "block", 3)])
