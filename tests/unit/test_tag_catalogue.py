"""The tag catalogue and the segmentations as YAML: what is accepted, and how mistakes are told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lakecdp.platform.errors import ConfigError
from lakecdp.platform.settings import Conf
from lakecdp.segments import catalogue as segments
from lakecdp.tags import catalogue

TAG = """\
tags:
  shoe_size:
    name: {en: Shoe size, zh: 鞋码}
    level: base
    owner: crm
    version: 1
    status: active
    values: ["38", "39"]
    rule: level
"""
SEGMENTATION = """\
segmentation: size
name: {en: Size, zh: 规模}
owner: crm
version: 1
status: active
scores:
  f: {value: orders, best: highest, thresholds: [1, 2, 4, 8]}
segments:
  - segment: big
    name: {en: Big, zh: 大}
    when: f > 3
  - segment: small
    name: {en: Small, zh: 小}
"""


def overlay(folder: Path, kind: str, text: str) -> Conf:
    (folder / kind).mkdir(parents=True)
    (folder / kind / "zz.yaml").write_text(text, encoding="utf-8")
    return Conf(folder)


def test_shipped_catalogue_has_a_dozen_tags_on_all_levels() -> None:
    tags = catalogue.load(Conf())
    levels = Counter(e.tag.level for e in tags.active)
    assert len(tags.active) >= 12
    assert set(levels) >= {"base", "behaviour", "preference", "value"}
    assert all(e.tag.name.en and e.tag.name.zh and e.tag.description for e in tags.entries)
    assert {s.segmentation for s in segments.load(Conf()).active} >= {"rfm", "lifecycle"}


def test_own_file_adds_a_tag_and_changes_the_fingerprint(tmp_path: Path) -> None:
    shipped = catalogue.load(Conf())
    own = catalogue.load(overlay(tmp_path / "a", "tags", TAG))
    owner = catalogue.load(
        overlay(tmp_path / "b", "tags", TAG.replace("owner: crm", "owner: shop"))
    )
    draft = catalogue.load(overlay(tmp_path / "c", "tags", TAG.replace("active", "draft")))
    assert "shoe_size" in [e.key for e in own.active]
    assert own.fingerprint != shipped.fingerprint
    assert owner.fingerprint == own.fingerprint, "who owns a tag decides no value"
    assert draft.fingerprint == shipped.fingerprint, "a draft is not computed"
    assert {"shoe_size"} == {e.key for e in draft.entries} - {e.key for e in shipped.entries}


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        (
            "owner: crm",
            "owner: crm\n    ownr: x",
            6,
            "unknown key `tags.shoe_size.ownr` (did you mean `owner`?)",
        ),
        ("    owner: crm\n", "", 2, "the key `tags.shoe_size.owner` is missing"),
        ("status: active", "status: live", 7, "'draft', 'active' or 'retired'"),
        (
            "level: base",
            "level: top",
            4,
            "'base', 'behaviour', 'preference', 'value' or 'attitude'",
        ),
        ('["38", "39"]', "[yes, no]", 8, "True is no text; put it in quotes"),
        ('["38", "39"]', "[a, a]", 8, "a value is listed twice"),
        ("version: 1", "version: 0", 6, "greater than or equal to 1"),
        ("zh: 鞋码", "zh: 鞋码, fr: taille", 3, "unknown key `tags.shoe_size.name.fr`"),
        ("shoe_size", "completeness", 2, "`completeness` is a column of gold.tag_matrix"),
        ("shoe_size", "gender", 2, "the tag `gender` is also defined in"),
        ("shoe_size", "Shoe-Size", 2, "match pattern"),
    ],
)
def test_mistakes_in_a_tag_are_told_with_their_line(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    with pytest.raises(ConfigError) as told:
        catalogue.load(overlay(tmp_path / "own", "tags", TAG.replace(old, new)))
    assert says in str(told.value)
    assert (told.value.line, Path(str(told.value.file)).name) == (line, "zz.yaml")
    assert told.value.exit_code == 2


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("[1, 2, 4, 8]", "[1, 2, 2, 8]", 7, "thresholds must rise"),
        ("[1, 2, 4, 8]", "[1, 2]", 7, "the key `scores.f.thresholds.2` is missing"),
        ("    when: f > 3\n", "", 1, "`big` has no `when`"),
        ("segment: small", "segment: big", 1, "the segment `big` stands twice"),
        ("segmentation: size", "segmentation: rfm", 1, "the segmentation `rfm` is also defined in"),
        ("best: highest", "best: most", 7, "'highest' or 'lowest'"),
    ],
)
def test_mistakes_in_a_segmentation_are_told_with_their_line(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    with pytest.raises(ConfigError, match=r"zz\.yaml") as told:
        segments.load(overlay(tmp_path / "own", "segments", SEGMENTATION.replace(old, new)))
    assert says in str(told.value)
    assert told.value.line == line
