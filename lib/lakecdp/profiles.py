"""Folders of configuration that a kind of company begins with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from lakecdp.platform import shipped
from lakecdp.platform.errors import UsageError

FOLDER = "profiles"


def profiles() -> dict[str, Path]:
    """The folders by the kind of company they suit."""
    root = shipped.root() / "conf" / FOLDER
    return {p.name: p for p in sorted(root.iterdir()) if p.is_dir()}


def start(profile: str, folder: Path) -> Iterator[str]:
    """Copy a profile to a folder of its own.

    Args:
        profile: kind of company.
        folder: where to; files that are there stay as they are, and nothing is written then.

    Returns:
        what to do next, in lines.

    Raises:
        UsageError: there is no such profile, or a file of it is there already.
    """
    known = profiles()
    if profile not in known:
        raise UsageError(f"No profile `{profile}`; there are {', '.join(known)}.")
    source = known[profile]
    files = sorted(p.relative_to(source) for p in source.rglob("*") if p.is_file())
    there = [str(f) for f in files if (folder / f).exists()]
    if there:
        raise UsageError(f"{folder} has {', '.join(there)} already; nothing was written.")
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file, folder / file)
        yield f"{folder / file}"
    yield "Name your currency, country and sources in dev.yaml, then try the files you have:"
    yield f"lakecdp source list --env dev --conf {folder}"
    yield f"lakecdp run --env dev --conf {folder} --lake my/lake --landing my/landing"
