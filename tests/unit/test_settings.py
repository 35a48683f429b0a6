"""Settings: places are absolute whatever folder the command is started in."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakecdp.bronze.mapping import load_sources
from lakecdp.governance.identifiers import IdentityRules
from lakecdp.measurement.channels import ChannelRules
from lakecdp.pipeline import DAILY
from lakecdp.platform.errors import ConfigError, UsageError
from lakecdp.platform.settings import OPTIONAL_JOBS, OPTIONAL_STAGES, Conf, load_settings
from lakecdp.profiles import profiles, start


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


def test_jobs_and_stages_that_others_do_without_may_be_off(tmp_path: Path) -> None:
    assert set(OPTIONAL_JOBS) < {j.name for j in DAILY}
    stages = {s: [j.name for j in DAILY if j.stage == s] for s in OPTIONAL_STAGES}
    assert all(jobs and set(jobs) <= set(OPTIONAL_JOBS) for jobs in stages.values())

    (tmp_path / "dev.yaml").write_text(
        "currency: EUR\nwithout: [06_models, 02_silver/flag_traffic]\n"
    )
    settings = load_settings(Conf(tmp_path), "dev")
    off = [j.name for j in DAILY if not settings.runs(j.name)]
    models = ["train_churn", "review_churn", "score_churn"]
    assert off == ["02_silver/flag_traffic", *(f"06_models/{m}" for m in models)]

    (tmp_path / "dev.yaml").write_text("currency: EUR\nwithout: [02_silver]\n")
    with pytest.raises(
        ConfigError, match=r"dev\.yaml:2: .*`02_silver` cannot be switched off; what can"
    ):
        load_settings(Conf(tmp_path), "dev")


@pytest.mark.parametrize("profile", ["retail", "finance", "content", "services"])
def test_a_company_begins_with_a_profile(profile: str, tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    told = list(start(profile, folder))
    assert told[-1].startswith(f"lakecdp run --env dev --conf {folder} ")
    conf = Conf(folder)
    settings = load_settings(conf, "dev", lake=str(tmp_path))
    sources = load_sources(conf, settings)
    assert [s.mapping.source for s in sources] == sorted(settings.sources or [])
    channels = ChannelRules.load(conf)
    assert {s.mapping.channel for s in sources} <= set(channels.channels)
    rules = IdentityRules.load(conf)
    assert rules.names[0] == ("id_number" if profile == "finance" else "member_id")
    for source in sources:
        assert set(source.mapping.identifiers) <= set(rules.names)

    (folder / "channels.yaml").write_text("mine\n")
    (folder / "dev.yaml").unlink()
    with pytest.raises(UsageError, match=r"has channels\.yaml.* already; nothing was written"):
        list(start(profile, folder))
    assert not (folder / "dev.yaml").exists()
    assert (folder / "channels.yaml").read_text() == "mine\n"


def test_a_profile_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert list(profiles()) == ["content", "finance", "retail", "services"]
    with pytest.raises(
        UsageError, match="No profile `bank`; there are content, finance, retail, services"
    ):
        list(start("bank", tmp_path))
