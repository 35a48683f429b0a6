"""Figures of models against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from lakecdp.models import metrics


@pytest.mark.parametrize("digits", [1, 2, 9])
def test_figures_are_those_of_scikit_learn(digits: int) -> None:
    r = np.random.default_rng(digits)
    score = np.round(r.beta(2, 3, 700), digits)
    label = (r.random(700) < score).astype(float)
    assert metrics.auc(label, score) == pytest.approx(sk.roc_auc_score(label, score), abs=1e-12)
    assert metrics.average_precision(label, score) == pytest.approx(
        sk.average_precision_score(label, score), abs=1e-12
    )
    found = metrics.of_probability(label, score, 0.4)
    inside = np.clip(score, 1e-15, 1 - 1e-15)
    assert found["log_loss"] == pytest.approx(sk.log_loss(label, inside))
    assert found["brier"] == pytest.approx(sk.brier_score_loss(label, score))
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(label, score >= 0.4))


def test_lift_shares_ties() -> None:
    label = np.array([1.0] * 2 + [0.0] * 18)
    assert metrics.lift(label, np.arange(20, 0, -1.0)) == pytest.approx(10)
    assert metrics.lift(label, np.arange(20.0)) == 0
    # All alike: whoever is taken, the rate is that of all.
    assert metrics.lift(label, np.ones(20)) == pytest.approx(1)
    # The two best places are shared by four, of whom one churned.
    score = np.array([9.0, 1, 9, 9, 9] + [0] * 15)
    assert metrics.lift(label, score) == pytest.approx(0.25 / 0.1)


def test_one_class_only() -> None:
    ones, zeros = np.ones(5), np.zeros(5)
    score = np.linspace(0, 1, 5)
    assert metrics.auc(ones, score) == metrics.auc(zeros, score) == 0.5
    assert metrics.average_precision(zeros, score) == metrics.lift(zeros, score) == 0


def test_calibration_and_slices() -> None:
    score = np.linspace(0, 1, 25)
    label = (score > 0.5).astype(float)
    bins = metrics.calibration(label, score, 5)
    assert [b.rows for b in bins] == [5] * 5
    assert [b.observed for b in bins] == [0, 0, 0.4, 1, 1]
    assert bins[0].predicted == pytest.approx(score[:5].mean())
    parts = metrics.slices(label, score, {"high": score > 0.4, "none": score > 2})
    assert [(s.name, s.rows, s.auc) for s in parts] == [("high", 15, 1.0)]
