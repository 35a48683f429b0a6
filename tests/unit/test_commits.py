"""Which files the commits of a batch leave, by cases written by hand after Delta's protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lakecdp.platform.commits import added_files, commit_name, user_metadata

Action = dict[str, dict[str, Any]]


def add(path: str, *, vector: bool = False, partition: str | None = None) -> Action:
    values = {"day": partition} if partition else {}
    found: dict[str, Any] = {"path": path, "partitionValues": values}
    if vector:
        found["deletionVector"] = {"storageType": "u"}
    return {"add": found}


def remove(path: str) -> Action:
    return {"remove": {"path": path}}


def commit(*actions: Action) -> str:
    return "\n".join(json.dumps(a) for a in [{"commitInfo": {}}, *actions])


@pytest.mark.parametrize(
    ("commits", "files"),
    [
        ([], []),
        ([commit(add("b"), add("a"))], ["a", "b"]),
        # A merge marks rows of an old file as deleted and writes their new versions.
        ([commit(remove("old"), add("old", vector=True), add("new"))], ["new"]),
        # A rewrite without vectors.
        ([commit(add("a")), commit(remove("a"), add("b"))], ["b"]),
        # Statistics of a file written again.
        ([commit(add("a")), commit(remove("a"), add("a"))], ["a"]),
        ([commit(add("a%20b"))], ["a b"]),
        # The batch deleted rows that it had written itself: only Delta can say which are left.
        ([commit(add("a")), commit(remove("a"), add("a", vector=True))], None),
        ([commit(add("day=1/a", partition="1"))], None),
        ([commit(add("s3://elsewhere/a"))], None),
        ([commit(add("a%2A"))], None),
    ],
)
def test_added_files(commits: list[str], files: list[str] | None) -> None:
    assert added_files(commits) == files


def test_commit_name() -> None:
    assert commit_name(12) == "00000000000000000012.json"


def test_what_a_writer_noted_is_found_and_anything_else_is_nothing() -> None:
    def commit(info: object) -> str:
        return f'{{"add": {{"path": "a"}}}}\n{json.dumps({"commitInfo": info})}\n'

    assert user_metadata(commit({"userMetadata": '{"run_seq": 3}'})) == {"run_seq": 3}
    for nothing in ({}, {"userMetadata": None}, {"userMetadata": "text"}, {"userMetadata": "[1]"}):
        assert user_metadata(commit(nothing)) == {}
    assert user_metadata('{"add": {"path": "a"}}\n') == {}
