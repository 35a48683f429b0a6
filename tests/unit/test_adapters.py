"""Adapters are shipped, and in use only by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lakecdp.bronze.mapping import find_source, load_source, load_sources
from lakecdp.platform.errors import ConfigError, UsageError
from lakecdp.platform.settings import Conf, load_settings

ROOT = Path(__file__).parents[2]
ADAPTERS = {p.stem: p for p in Conf().folder("adapters")}
OWN = """
source: ga4_events
files: "mine/*"
format: csv
columns: {id: string}
targets: [{table: product, columns: {product_id: id}}]
"""


def named(folder: Path, sources: str | None) -> list[tuple[str, str]]:
    """Name and file of the sources in use with a setting."""
    folder.mkdir(exist_ok=True)
    (folder / "dev.yaml").write_text(f"sources: {sources}\n" if sources else "")
    conf = Conf(folder)
    found = load_sources(conf, load_settings(conf, "dev"))
    return [(s.mapping.source, Path(s.document.path).parent.name) for s in found]


def test_every_adapter_is_named_after_its_file_and_says_what_a_mapping_must() -> None:
    for name, path in ADAPTERS.items():
        mapping = load_source(path).mapping
        assert mapping.source == name
        assert mapping.owner
        assert mapping.description
        assert "lawful_basis" in mapping.model_fields_set
        assert all(f.startswith(f"{name}/") for f in mapping.files)


def test_the_page_lists_the_adapters_with_their_tables() -> None:
    page = (ROOT / "docs/how-to/add-a-source.md").read_text()
    listed = dict(re.findall(r"^\| (\w+) \| [^|]+ \| ([\w, ]+) \|$", page, re.M))
    tables = {
        n: [t.removeprefix("silver.") for t in load_source(p).mapping.silver_tables]
        for n, p in ADAPTERS.items()
    }
    assert {n: sorted(t.split(", ")) for n, t in listed.items() if n in ADAPTERS} == {
        n: sorted(t) for n, t in tables.items()
    }


def test_an_adapter_is_in_use_when_it_is_named(tmp_path: Path) -> None:
    assert not {n for n, _ in named(tmp_path / "a", None)} & set(ADAPTERS)
    chosen = named(tmp_path / "b", "[pos, ga4_events]")
    assert chosen == [("ga4_events", "adapters"), ("pos", "sources")]
    own = tmp_path / "c/sources"
    own.mkdir(parents=True)
    (own / "ga4_events.yaml").write_text(OWN)
    chosen = named(tmp_path / "c", "[ga4_events, footfall]")
    assert chosen == [("footfall", "adapters"), ("ga4_events", "sources")]
    with pytest.raises(UsageError, match=r"No source `x`; .*Adapters to put into use: access_log"):
        named(tmp_path / "d", "[x]")


def test_a_mapping_is_found_by_file_or_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(OWN)
    assert find_source(Conf(), str(path)).mapping.files == ["mine/*"]
    assert find_source(Conf(), "ga4_events").mapping.format == "json"
    assert find_source(Conf(), "pos").mapping.source == "pos"
    with pytest.raises(
        UsageError, match=r"No mapping gone\.yaml: give a file, or one of access_log"
    ):
        find_source(Conf(), "gone.yaml")
    path.write_text(OWN.replace("table: product", "table: produce"))
    with pytest.raises(ConfigError, match=r"mine\.yaml:6: .*'touch', 'contact'"):
        find_source(Conf(), str(path))
