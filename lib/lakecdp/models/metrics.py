"""How good probabilities are: figures of ranking, of calibration and of decisions.

All take the outcomes (0 or 1) and what was predicted, in the same order. Equal predictions are
never put in an order of their own: they share what they have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def auc(label: Floats, score: Floats) -> float:
    """Area under the ROC curve, by ranks (Mann-Whitney); 0.5 when one class is missing."""
    positive = float(label.sum())
    negative = len(label) - positive
    if not positive or not negative:
        return 0.5
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2.0
    total = float(ranks[place][label == 1].sum())
    return (total - positive * (positive + 1) / 2) / (positive * negative)


def average_precision(label: Floats, score: Floats) -> float:
    """Area under the precision-recall curve, as the mean precision at each distinct score."""
    positive = float(label.sum())
    if not positive:
        return 0.0
    found, counts = _by_score(label, score)
    precision = np.cumsum(found) / np.cumsum(counts)
    return float((precision * found).sum() / positive)


def log_loss(label: Floats, probability: Floats) -> float:
    """Mean negative log likelihood (nats)."""
    p = np.clip(probability, 1e-15, 1 - 1e-15)
    return float(-(label * np.log(p) + (1 - label) * np.log(1 - p)).mean())


def brier(label: Floats, probability: Floats) -> float:
    """Mean squared difference of probability and outcome."""
    return float(((probability - label) ** 2).mean())


def accuracy(label: Floats, score: Floats, threshold: float) -> float:
    """Share of right decisions when a score of the threshold or more says yes."""
    return float(((score >= threshold) == (label == 1)).mean())


def lift(label: Floats, score: Floats, share: float = 0.1) -> float:
    """Rate of the outcome among the highest scores, as a multiple of the rate among all."""
    base = float(label.mean())
    if not base:
        return 0.0
    wanted = max(1.0, float(np.ceil(len(label) * share)))
    found, counts = _by_score(label, score)
    before = np.cumsum(counts) - counts
    taken = np.clip(wanted - before, 0, counts)
    return float((found / counts * taken).sum() / wanted / base)


def _by_score(label: Floats, score: Floats) -> tuple[Floats, Floats]:
    """Positives and rows at each distinct score, highest first."""
    _, place, counts = np.unique(-score, return_inverse=True, return_counts=True)
    return np.bincount(place, weights=label).astype(np.float64), counts.astype(np.float64)


def of_probability(label: Floats, probability: Floats, threshold: float) -> dict[str, float]:
    """All figures of a model that gives probabilities."""
    return {
        **of_rule(label, probability, threshold),
        "log_loss": log_loss(label, probability),
        "brier": brier(label, probability),
    }


def of_rule(label: Floats, score: Floats, threshold: float) -> dict[str, float]:
    """The figures of a score that is no probability."""
    return {
        "auc": auc(label, score),
        "pr_auc": average_precision(label, score),
        "accuracy": accuracy(label, score, threshold),
        "lift_top_decile": lift(label, score),
    }


@dataclass(frozen=True)
class Bin:
    """Customers with similar probabilities: how many, the mean predicted and what came true."""

    rows: int
    predicted: float
    observed: float


def calibration(label: Floats, probability: Floats, bins: int = 10) -> list[Bin]:
    """Bins of equal size, lowest probabilities first."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [Bin(len(i), float(probability[i].mean()), float(label[i].mean())) for i in parts]


@dataclass(frozen=True)
class Slice:
    """A part of the customers: how many, base rate, mean predicted and AUC."""

    name: str
    rows: int
    base_rate: float
    predicted: float
    auc: float


def slices(
    label: Floats, probability: Floats, parts: Mapping[str, NDArray[np.bool_]]
) -> Sequence[Slice]:
    """The figures of parts of the customers; empty parts are left out."""
    return [
        Slice(
            name,
            int(part.sum()),
            float(label[part].mean()),
            float(probability[part].mean()),
            auc(label[part], probability[part]),
        )
        for name, part in parts.items()
        if part.any()
    ]
