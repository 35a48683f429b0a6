"""Inputs in mappings: the docs' examples are taken, mistakes are refused with line and reason."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from lakecdp.bronze.mapping import SourceMapping, load_source
from lakecdp.platform.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
REST = """
columns: {id: string}
targets:
  - table: product
    columns: {product_id: id}
"""
KAFKA = "kafka: {topic: t, servers: 'localhost:9092'}"
JDBC = "jdbc: {url_env: URL, table: t, key: id}"


def load(folder: Path, text: str) -> SourceMapping:
    path = folder / "one.yaml"
    path.write_text(f"source: one\n{text}{REST}")
    return load_source(path).mapping


def test_the_examples_of_the_docs_are_mappings(tmp_path: Path) -> None:
    text = (ROOT / "docs/how-to/connect-a-source.md").read_text()
    blocks = re.findall(r"(?m)(?:^    .*\n)+", text)
    found = [dedent(b) for b in blocks if b.lstrip().startswith("source:")]
    names = []
    for block in found:
        example = block.replace("columns: ...\n", "").split("\n", 1)[1]
        names.append(type(load(tmp_path, example).input).__name__)
    assert names == ["KafkaInput", "JdbcInput", "HttpInput", "DeltaInput"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "give one of `files`, `kafka`, `jdbc`, `http`, `delta`; here: none"),
        (f"{KAFKA}\n{JDBC}", "here: `kafka` and `jdbc`"),
        ("files: '*.csv'", "`files` need a `format`"),
        (f"{KAFKA}\nformat: csv", "`format: csv` goes with `files`; kafka gives JSON"),
        ("kafka: {topic: t}", "give one of `servers` and `servers_env`"),
        ("jdbc: {url_env: 'jdbc:postgresql://u:p@h/d', table: t, key: id}", "url_env"),
        ("jdbc: {url_env: URL, table: t}", "key"),
        ("jdbc: {url_env: URL, table: t, key: id, overlap: 1h}", "`overlap` goes with `watermark`"),
        (
            "jdbc: {url_env: URL, table: t, key: id, watermark: at, overlap: soon}",
            "'soon' is no span: write 30m, 2h, 1d, or a number",
        ),
        ("jdbc: {url_env: URL, table: t, key: id, partitions: 4}", "cuts the range"),
        ("http: {key: id}", "give one of `url` and `url_env`"),
        ("http: {url: 'file:///etc/passwd', key: id}", "url"),
        ("http: {url: 'http://h', key: id, page: {by: number}}", "needs `parameter`"),
        ("http: {url: 'http://h', key: id, page: {by: next}}", "needs `path`"),
        ("http: {url: 'http://h', key: id, since: s}", "`since` takes the `watermark`"),
        ("delta: {}", "table"),
    ],
)
def test_a_mistake_is_refused_where_it_stands(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, text)
    assert said in str(raised.value)
    assert re.match(r".*one\.yaml:\d+: ", str(raised.value))


def test_where_records_come_from_is_no_part_of_their_meaning(tmp_path: Path) -> None:
    one, other = load(tmp_path, KAFKA), load(tmp_path, JDBC)
    assert one.fingerprint() == other.fingerprint()
    assert (one.place, other.place) == ("Kafka topic t", "table t")
