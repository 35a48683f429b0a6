"""conf/identity.yaml: what is accepted, what is refused and where."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lakecdp.governance.identifiers import IdentityRules, node_of, unknown_types
from lakecdp.identity.numbers import type_rules
from lakecdp.platform.errors import ConfigError, UsageError
from lakecdp.platform.settings import Conf


def rules(tmp_path: Path, text: str) -> IdentityRules:
    (tmp_path / "identity.yaml").write_text(text)
    return IdentityRules.load(Conf(tmp_path))


def test_the_shipped_rules_load_strongest_first() -> None:
    shipped = IdentityRules.load(Conf())
    assert shipped.names[0] == "member_id"
    assert shipped.names[-1] == "cookie"
    assert {t.name for t in shipped.types if t.unique} == {"member_id", "unionid"}
    assert unknown_types(["phone", "fax"], shipped) == ["fax"]
    with pytest.raises(UsageError, match=r"no identifier type `fax`; .* has member_id, "):
        shipped.type("fax")
    arrays = type_rules(shipped)
    assert arrays.names == (*shipped.names, "unknown")
    assert arrays.limit[shipped.names.index("device_id")] == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "types:\n  a: {priority: 1}\n  b:\n    priority: 2\n    uniqe: true",
            "5: unknown key `types.b.uniqe`",
        ),
        ("types:\n  a: {priority: 1}\n  b: {priority: 1}", "a and b have the same priority 1"),
        ("types:\n  Phone Number: {priority: 1}", "'Phone Number' is no name for a type"),
        ("types:\n  a: {priority: 1, format: fax}", "2: `types.a.format` is 'fax'"),
        ("junk: {patterns: ['(']}\ntypes: {a: {priority: 1}}", "'\\(' is no regular expression"),
        ("types:\n  a: {priority: 1, limit: 0}", "`types.a.limit` is 0"),
        ("junk: {}", "the key `types` is missing"),
    ],
)
def test_wrong_rules_are_refused_with_their_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rules(tmp_path, text)


def test_fingerprints_change_with_what_they_stand_for(tmp_path: Path) -> None:
    base = "types:\n  a: {priority: 1}\n  b: {priority: 2}\n"
    first = rules(tmp_path, base)
    gap = rules(tmp_path, base.replace("priority: 2", "priority: 7"))
    assert (gap.fingerprint(), gap.values_fingerprint()) == (
        first.fingerprint(),
        first.values_fingerprint(),
    ), "only the order of priorities counts"
    limit = rules(tmp_path, base.replace("priority: 2", "priority: 2, limit: 4"))
    assert limit.fingerprint() != first.fingerprint()
    assert limit.values_fingerprint() == first.values_fingerprint()
    swapped = rules(tmp_path, "types:\n  a: {priority: 2}\n  b: {priority: 1}\n")
    assert swapped.values_fingerprint() != first.values_fingerprint()
    junk = rules(tmp_path, base + "junk: {values: [x]}\n")
    assert junk.values_fingerprint() != first.values_fingerprint()


def test_a_node_is_63_bits_of_a_keyed_sha256() -> None:
    digest = hashlib.sha256(b"secret\x1fphone\x1f+4915112345678").hexdigest()
    assert node_of("phone", "+4915112345678", "secret") == int(digest[:16], 16) % 2**63
