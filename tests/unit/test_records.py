"""Headers of CSV files."""

from __future__ import annotations

import pytest

from lakecdp.bronze.mapping import SourceMapping
from lakecdp.bronze.records import header_of, told_apart

MAPPING = SourceMapping.model_validate(
    {
        "source": "till",
        "files": "till/*.csv",
        "format": "csv",
        "columns": {"id": "string"},
        "targets": [{"table": "product", "columns": {"product_id": "id"}}],
    }
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["id", "price"], ["id", "price"]),
        (["id", "price", ""], ["id", "price", "column_3"]),
        (["id", "Id", "ID"], ["id", "Id_2", "ID_3"]),
        (["id", "ID", "id_2"], ["id", "ID_3", "id_2"]),
        (["", "column_1", ""], ["column_1_2", "column_1", "column_3"]),
    ],
)
def test_every_column_has_a_name_of_its_own(given: list[str], expected: list[str]) -> None:
    assert told_apart(given) == expected
    assert len({n.lower() for n in expected}) == len(given)


def test_a_column_in_use_keeps_its_name_wherever_it_stands() -> None:
    assert told_apart(["Id", "id", "ID"], ["id"]) == ["Id_2", "id", "ID_3"]
    assert told_apart(["id", "Id"], ["id", "other"]) == ["id", "Id_2"]


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"\nid,name\n1,a\n", "the first line, which should be the header, is blank"),
        (b"  \nid,name\n", "the first line, which should be the header, is blank"),
        (b"id,\x00name\n", "the header is not readable text"),
    ],
)
def test_what_is_no_header_is_refused_with_a_reason(head: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        header_of(head, MAPPING)


def test_a_header_is_read_as_csv() -> None:
    head = '\ufeff"a, b" ,id,\n1,2,3\n'.encode()
    assert header_of(head, MAPPING) == ["a, b", "id", "column_3"]
