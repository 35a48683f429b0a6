"""Settings: places are absolute whatever folder the command is started in."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakecdp.platform.settings import Conf, load_settings


def test_relative_places_begin_where_the_command_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    given = {"my/lake": f"{tmp_path}/my/lake", "~/lake": "/home/ada/lake", "/a/lake/": "/a/lake"}
    given |= {u: u for u in ("s3a://bucket/lake", "file:/a/lake", "file:///a/lake")}
    for place, absolute in given.items():
        found = load_settings(Conf(None), "dev", lake=place, landing=place)
        assert (found.lake, found.landing) == (absolute, absolute)
    assert load_settings(Conf(None), "dev").lake is None
