"""The rules of models, the cut-offs laid from them, and the gate."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from lakecdp.models import features, registry
from lakecdp.models.registry import Version
from lakecdp.models.review import checks
from lakecdp.models.rules import Rules, load, plan
from lakecdp.platform.errors import ConfigError, UsageError
from lakecdp.platform.settings import Conf, Settings

LAST = date(2026, 11, 1)


def shipped() -> Rules:
    return load(Conf(), "churn")


def test_no_window_reaches_the_next_stage() -> None:
    rules = shipped()
    seen = set()
    for days in range(100, 500):
        first = LAST - timedelta(days=days)
        found = plan(rules, first, LAST)
        if found is None:
            assert days < 3 * rules.horizon_days[-1] + rules.history_days
            continue
        seen.add(found.horizon)
        horizon = timedelta(days=found.horizon)
        assert found.test + horizon == LAST
        assert found.validation + horizon == found.test
        assert all(c + horizon <= found.test for c in found.training)
        assert found.selection
        assert all(c + horizon <= found.validation for c in found.selection)
        assert len(found.selection) <= rules.cutoffs
        assert min(found.cutoffs) - first >= timedelta(days=rules.history_days)
        longer = [h for h in rules.horizon_days if h > found.horizon]
        assert all(days < 3 * h + rules.history_days for h in longer)
    assert seen == {30, 60}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[60, 30]", "[30, 60]", "churn.yaml:.*must fall from one to the next"),
        ("kind: random_forest", "kind: magic", r"churn.yaml:\d+: .*'random_forest'"),
        ("eligible_days", "eligble_days", r"churn.yaml:\d+: unknown key.*did you mean `eligible"),
        ("model: churn", "model: churned", "churn.yaml:3: `model` must be `churn`"),
        ("owner: crm", "", "the key `owner` is missing"),
    ],
)
def test_wrong_rules_are_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = (Path(__file__).parents[2] / "conf/models/churn.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "churn.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        load(Conf(tmp_path), "churn")


def test_fingerprint_follows_what_is_learned_only() -> None:
    rules = shipped()
    gate = rules.gate.model_copy(update={"least_auc": 0.9})
    same = rules.model_copy(update={"gate": gate, "owner": "x", "retrain_days": 7})
    other = rules.model_copy(update={"eligible_days": 90})
    assert Rules(**same.model_dump()).fingerprint == rules.fingerprint
    assert Rules(**other.model_dump()).fingerprint != rules.fingerprint


GOOD = {
    "test_auc": 0.75,
    "best_baseline_auc": 0.70,
    "gap": 0.05,
    "test_log_loss": 0.5,
    "base_rate_log_loss": 0.6,
}


@pytest.mark.parametrize(
    ("figures", "champion", "missed"),
    [
        ({}, None, []),
        ({}, 0.755, []),
        ({"test_auc": 0.61, "best_baseline_auc": 0.5}, None, ["test AUC"]),
        ({"best_baseline_auc": 0.76}, None, ["gain over the best trivial rule"]),
        ({"gap": 0.11}, None, ["gap of training and test"]),
        ({"test_log_loss": 0.6}, None, ["log loss against that of the base rate"]),
        ({}, 0.77, ["loss against the champion"]),
    ],
)
def test_gate(figures: dict[str, float], champion: float | None, missed: list[str]) -> None:
    version = Version(2, "run", {}, {}, GOOD | figures)
    found = checks(shipped().gate, version, champion)
    assert [c.name for c in found if not c.holds] == missed
    assert len(found) == (4 if champion is None else 5)


def test_store_lies_beside_the_lake_unless_set() -> None:
    settings = Settings(lake="/data/lake/")
    assert registry.tracking_uri(settings) == "sqlite:////data/lake-mlflow/mlflow.db"
    file = settings.model_copy(update={"lake": "file:///data/my%20lake"})
    assert registry.tracking_uri(file) == "sqlite:////data/my lake-mlflow/mlflow.db"
    far = settings.model_copy(update={"lake": "s3a://bucket/lake"})
    with pytest.raises(UsageError, match=r"set `mlflow\.tracking_uri`"):
        registry.tracking_uri(far)
    tracked = settings.mlflow.model_copy(update={"tracking_uri": "http://tracking:5000"})
    assert (
        registry.tracking_uri(far.model_copy(update={"mlflow": tracked})) == "http://tracking:5000"
    )


def test_features_hide_no_sum_and_name_no_outcome() -> None:
    assert all(name.startswith(features.PREFIX) for name in features.FEATURES)
    names = [n for g in features.GROUPS.values() for n in g.names]
    assert names == list(features.FEATURES)
    assert len(set(names)) == len(names)
    assert not any("label" in text for text in features.FEATURES.values())
    group = replace(features.GROUPS["tenure"], words="'x'")
    assert group.names == ["x_tenure"]
