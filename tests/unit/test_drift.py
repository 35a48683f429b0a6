"""Fields beyond a mapping, and patterns of text, without Spark."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lakecdp.bronze.drift import (
    absent,
    beyond,
    fields_of,
    leaves,
    new_columns,
    new_fields,
    shown,
    steps,
)
from lakecdp.bronze.mapping import SourceMapping
from lakecdp.bronze.records import filled_above, header_of

TARGET = [{"table": "product", "columns": {"product_id": "id"}}]


def mapping(**more: object) -> SourceMapping:
    """A mapping of a few columns."""
    given = {"source": "x", "files": "x*", "format": "json", "targets": TARGET, **more}
    return SourceMapping.model_validate(given)


def test_a_nested_type_is_taken_apart() -> None:
    schema = (
        "OBJECT<a: BIGINT, items: ARRAY<OBJECT<sku: STRING, `$x y`: DECIMAL(3,1)>>, o: OBJECT<>, "
        "`b``c`: VOID>"
    )
    assert leaves(schema) == {
        ("a",): "BIGINT",
        ("items", "[]", "sku"): "STRING",
        ("items", "[]", "$x y"): "DECIMAL(3,1)",
        ("o",): "OBJECT<>",
        ("b`c",): "VOID",
    }
    assert leaves("array<map<string,array<int>>>") == {("[]",): "map<string,array<int>>"}
    assert leaves("decimal(18, 4)") == {(): "decimal(18, 4)"}
    assert fields_of(None) == fields_of("VOID") == []


def test_paths_are_read_and_shown() -> None:
    assert steps("$.properties['$ip']") == ("properties", "$ip")
    assert steps("$.items[0]['it\\'s']") == ("items", "[]", "it's")
    assert shown(("items", "[]", "sku")) == "items[].sku"


def test_what_a_mapping_does_not_name_is_beyond_it() -> None:
    named = mapping(
        columns={
            "id": "string",
            "ip": {"path": "$.properties['$ip']"},
            "items": "array<struct<sku: string>>",
            "rest": "variant",
            "tags": "array<string>",
        }
    )
    schema = (
        "OBJECT<id: STRING, properties: OBJECT<`$ip`: STRING, coupon: STRING>, items: "
        "ARRAY<OBJECT<sku: STRING, size: STRING>>, rest: OBJECT<any: BIGINT>, tags: ARRAY<VOID>, ID: STRING>"
    )
    found = beyond(fields_of(schema), named)
    assert [shown(p) for p in found] == ["properties.coupon", "items[].size", "ID"]
    assert new_fields(fields_of(schema), named, {"ID"}) == [
        "new fields properties.coupon, items[].size (kept in raw)"
    ]
    assert new_fields(fields_of(schema), named, {shown(p) for p in found}) == []


def test_new_columns_name_the_first_file_that_has_them() -> None:
    headers = {"b.csv": ["x"], "a.csv": ["x", "y", "old"]}
    assert new_columns(headers, {"old"}) == [
        "new column x (kept in raw), first in a.csv",
        "new column y (kept in raw), first in a.csv",
    ]


def test_a_required_column_that_no_record_has_is_absent() -> None:
    named = mapping(
        columns={"id": {"type": "string", "required": True}, "at": {"required": True}, "c": {}}
    )
    assert absent(named, {"readable": 5, "given_0": 5, "given_1": 0}) == ["at"]
    assert absent(named, {"readable": 0, "given_0": 0, "given_1": 0}) == []


def test_a_pattern_names_its_groups() -> None:
    text = mapping(
        format="text", columns={"a_b": "string"}, file={"pattern": r"(\d+) (?<a_b>\S+) (?P<c>.*)"}
    )
    assert text.file.groups == {"a_b": 2, "c": 3}
    assert text.file.plain_pattern == r"(\d+) (\S+) (.*)"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"format": "text"}, "go together"),
        ({"file": {"pattern": "(?<id>.*)"}}, "go together"),
        ({"format": "text", "file": {"pattern": "(?<id>"}}, "no regular expression"),
        ({"format": "text", "file": {"pattern": "(.*)"}}, "names no group"),
        ({"format": "text", "file": {"pattern": "(?<ip>.*)"}}, "no group id; its groups are ip"),
        (
            {"format": "text", "file": {"pattern": "(?<id>.*)", "multiline": True}},
            "does not go with `format: text`",
        ),
        ({"file": {"skip_lines": 2}}, "CSV files"),
        ({"format": "csv", "file": {"skip_lines": 2, "multiline": True}}, "does not go with"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        mapping(columns={"id": "string"}, **given)


def test_lines_above_a_header_are_passed_over() -> None:
    csv = mapping(format="csv", columns={"id": "string"}, file={"skip_lines": 3})
    head = b"Report\r\n\r\nfrom,to\r\nid,name\r\n1,a\r\n"
    assert header_of(head, csv) == ["id", "name"]
    assert filled_above(head, csv) == 3
    with pytest.raises(ValueError, match="ends before line 4"):
        header_of(b"Report\n\n", csv)
