"""Settings: places are absolute whatever folder the command is started in."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakecdp.platform.errors import ConfigError
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


def test_whether_java_is_generated_is_said_in_one_place(tmp_path: Path) -> None:
    (tmp_path / "dev.yaml").write_text("spark: {conf: {spark.sql.codegen.wholeStage: 'false'}}\n")
    with pytest.raises(
        ConfigError, match=r"dev\.yaml:1: .*set by `codegen`: auto, always or never"
    ):
        load_settings(Conf(tmp_path), "dev")
    (tmp_path / "dev.yaml").write_text("spark: {codegen: never}\n")
    assert load_settings(Conf(tmp_path), "dev").spark.codegen == "never"
