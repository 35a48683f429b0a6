"""conf/sessions.yaml: what is accepted, what is refused and where; days as spans."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.platform.errors import ConfigError
from lakecdp.platform.settings import Conf
from lakecdp.silver.restate import spans_of
from lakecdp.silver.session_rules import SessionRules


def rules(tmp_path: Path, text: str) -> SessionRules:
    (tmp_path / "sessions.yaml").write_text(text)
    return SessionRules.load(Conf(tmp_path))


def test_the_shipped_rules_load() -> None:
    shipped = SessionRules.load(Conf())
    assert (shipped.inactivity_minutes, shipped.max_hours) == (30, None)
    assert shipped.campaign.source == ("$.utm_source", "utm_source")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inactivity_minutes: 30\ninactive: 3", "2: unknown key `inactive`"),
        ("inactivity_minutes: 1441", "1: `inactivity_minutes` is 1441"),
        ("max_hours: 0", "`max_hours` is 0"),
        (
            "campaign:\n  source: [$.utm_source, 'utm source']",
            "2: .*'utm source' is neither a path",
        ),
        ("campaign: {medium: [$utm]}", r"'\$utm' is neither a path"),
    ],
)
def test_wrong_rules_are_refused_with_their_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rules(tmp_path, text)


def test_a_fingerprint_follows_what_sessions_depend_on(tmp_path: Path) -> None:
    known = IdentityRules.load(Conf())
    first = rules(tmp_path, "inactivity_minutes: 20")
    assert first.fingerprint(known) == rules(tmp_path, "inactivity_minutes: 20").fingerprint(known)
    assert first.fingerprint(known) != rules(tmp_path, "{}").fingerprint(known)
    (tmp_path / "identity.yaml").write_text("types: {a: {priority: 1}, b: {priority: 2}}")
    plain = IdentityRules.load(Conf(tmp_path))
    (tmp_path / "identity.yaml").write_text(
        "types: {a: {priority: 1}, b: {priority: 2, of: device}}"
    )
    assert first.fingerprint(plain) != first.fingerprint(IdentityRules.load(Conf(tmp_path)))


def test_days_without_a_gap_are_one_span() -> None:
    days = [date(2026, 3, d) for d in (1, 5, 2, 3, 7)] + [date(2026, 2, 28)]
    first, second, third = spans_of(days)
    assert first == (date(2026, 2, 28), date(2026, 3, 3))
    assert second == (date(2026, 3, 5), date(2026, 3, 5))
    assert third == (date(2026, 3, 7), date(2026, 3, 7))
    assert spans_of([]) == []
