"""What the last commits of a Delta table added, read from the commits themselves.

Delta answers "which files" by rebuilding the state of the whole table, which takes seconds where
the answer is a few lines of JSON. See the Delta transaction log protocol, "Action Reconciliation".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

Action = dict[str, Any]
"""An action of a commit, as its JSON has it."""
GLOB = frozenset("*?[]{}\\")


MANY_COMMITS = 500
"""Above, Delta finds the files of a table more quickly than who reads each commit."""
COMMIT = re.compile(r"\d{20}\.json")


MAINTENANCE = frozenset(
    {
        "CREATE TABLE",
        "OPTIMIZE",
        "REORG",
        "VACUUM START",
        "VACUUM END",
        "SET TBLPROPERTIES",
        "UNSET TBLPROPERTIES",
        "ADD COLUMNS",
        "CHANGE COLUMN",
        "CLUSTER BY",
        "UPGRADE PROTOCOL",
        "COMPUTE STATS",
    }
)
"""Operations of Delta that change no row."""


def operation(commit: str) -> str:
    """What the writer of a commit did, such as `WRITE` or `OPTIMIZE`."""
    infos = (json.loads(line).get("commitInfo") for line in commit.splitlines() if line)
    return next((str(i.get("operation", "")) for i in infos if i is not None), "")


def user_metadata(commit: str) -> dict[str, Any]:
    """What the writer of a commit noted in it; empty when that is nothing, or no JSON object."""
    for line in commit.splitlines():
        info = json.loads(line).get("commitInfo") if line else None
        if info is not None:
            try:
                told = json.loads(info.get("userMetadata") or "{}")
            except ValueError:
                return {}
            return told if isinstance(told, dict) else {}
    return {}


def commit_name(version: int) -> str:
    """File of a commit in `_delta_log`."""
    return f"{version:020d}.json"


def all_commits(folder: Path, version: int) -> list[str] | None:
    """The commits of a table from the first one on; None where some are gone, or they are many."""
    files = [folder / "_delta_log" / commit_name(v) for v in range(version + 1)]
    if len(files) > MANY_COMMITS or not all(f.is_file() for f in files):
        return None
    return [f.read_text(encoding="utf-8") for f in files]


def added_files(commits: Iterable[str]) -> list[str] | None:
    """Files, relative to the table, that hold all rows which these commits wrote.

    A file that was there before and only got a deletion vector holds no row of theirs.

    Args:
        commits: contents of successive commits, oldest first.

    Returns:
        the files; None when the commits alone do not say which rows count (a file of theirs that
        has a deletion vector, a partitioned table, a path that is no plain name).
    """
    files: set[str] = set()
    for text in commits:
        actions: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines() if line]
        removed = {a["remove"]["path"] for a in actions if "remove" in a}
        for add in (a["add"] for a in actions if "add" in a):
            path = add["path"]
            if add.get("partitionValues") or ":" in path or GLOB & set(unquote(path)):
                return None
            if add.get("deletionVector"):
                if path in files:
                    return None
                continue
            removed.discard(path)
            files.add(path)
        files -= removed
    return sorted(unquote(p) for p in files)


def standing_files(commits: Iterable[str]) -> dict[str, Action] | None:
    """The files of a table after all its commits, each with the action that adds it as it is.

    Args:
        commits: contents of all commits, oldest first.

    Returns:
        file, relative to the table, and action; None for a partitioned table or a path that is no
        plain name.
    """
    files: dict[str, Action] = {}
    for text in commits:
        actions: list[Action] = [json.loads(line) for line in text.splitlines() if line]
        for path in (a["remove"]["path"] for a in actions if "remove" in a):
            files.pop(path, None)
        for add in (a["add"] for a in actions if "add" in a):
            if add.get("partitionValues") or ":" in add["path"]:
                return None
            files[add["path"]] = add
    return {unquote(p): add for p, add in files.items()}


def schema_of(commits: Iterable[str]) -> str | None:
    """The columns of a table after some commits, as the JSON of a Spark schema; None: not told."""
    found = None
    for text in commits:
        for line in text.splitlines():
            if line.startswith('{"metaData"'):
                found = json.loads(line)["metaData"]["schemaString"]
    return found


@dataclass(frozen=True)
class Appended:
    """What commits did to the rows of a table.

    Attributes:
        files: by version, the data files that came until then and still lie in the table then.
        rewritten: whether rows were taken away or replaced, so that `files` are not only news.
    """

    files: dict[int, list[str]]
    rewritten: bool


def appended(commits: Iterable[tuple[int, str]]) -> Appended:
    """The files whose rows are new, as far as the commits only append.

    Actions that change no row (`dataChange: false`, as of OPTIMIZE) bring nothing; a file that they
    take away is read at the version before.

    Args:
        commits: versions and contents of successive commits, oldest first.
    """
    found: dict[int, list[str]] = {}
    held: list[str] = []
    last, rewritten = 0, False
    for version, text in commits:
        actions: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines() if line]
        gone = [a["remove"] for a in actions if "remove" in a]
        new = [a["add"] for a in actions if "add" in a and a["add"].get("dataChange", True)]
        rewritten |= any(r.get("dataChange", True) for r in gone)
        rewritten |= any(a.get("deletionVector") for a in new)
        if held and {unquote(r["path"]) for r in gone} & set(held):
            found[last], held = held, []
        held += [unquote(a["path"]) for a in new]
        last = version
    if held:
        found[last] = held
    return Appended(found, bool(rewritten))
