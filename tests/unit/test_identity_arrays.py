"""Long arrays of ids against plain numpy and pandas."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from lakecdp.identity.arrays import (
    CROWDED,
    FEW,
    Rows,
    ascending,
    connected,
    firsts,
    one_per_pair,
    places,
)

SIZE = FEW + 50_000


@pytest.mark.parametrize("kind", ["even", "crowded", "small", "negative"])
def test_places_are_those_of_a_binary_search(kind: str) -> None:
    dice = np.random.default_rng(3)
    known = np.unique(dice.integers(0, 1 << 62, SIZE))
    if kind == "crowded":
        known = np.unique(np.concatenate([known, np.arange(5, 5 + CROWDED * 3)]))
    if kind == "small":
        known = np.arange(1, SIZE)
    if kind == "negative":
        known = known - (1 << 61)
    ids = np.concatenate(
        [dice.permutation(known), dice.integers(0, 1 << 62, SIZE), [0, int(known[-1]) + 1]]
    )
    assert np.array_equal(places(known, ids), np.searchsorted(known, ids))


def test_an_order_by_several_keys_is_that_of_lexsort() -> None:
    dice = np.random.default_rng(4)
    for high in (3, 50, 10**9):
        keys = [dice.integers(0, high, 5_000) for _ in range(3)]
        assert np.array_equal(ascending(keys), np.lexsort(keys[::-1]))


@pytest.mark.parametrize(
    ("low", "high"), [(-(1 << 63), (1 << 63) - 1), (0, 1 << 62), (-9, 9), (1 << 61, (1 << 61) + 4)]
)
def test_numbers_of_any_size_are_ordered_by_value_and_then_by_place(low: int, high: int) -> None:
    dice = np.random.default_rng(6)
    # Numbers that differ in their lowest bits alone lie close together.
    some = dice.integers(low, high, 3_000)
    key = np.concatenate([some, some[:1_000], np.minimum(some[:1_000], high - 1) + 1, [low, high]])
    other = dice.integers(0, 2, len(key))
    assert np.array_equal(ascending([key]), np.argsort(key, kind="stable"))
    assert np.array_equal(ascending([key, other]), np.lexsort((other, key)))
    assert ascending([key[:0]]).tolist() == []


def test_components_are_those_of_networkx() -> None:
    dice = np.random.default_rng(7)
    for size, pairs in ((0, 0), (1, 0), (40, 6), (60, 30), (60, 60), (60, 200)) * 6:
        a, b = (dice.integers(0, max(size, 1), pairs) for _ in range(2))
        graph = nx.Graph(zip(a.tolist(), b.tolist(), strict=True))
        graph.add_nodes_from(range(size))
        count, label = connected(size, a, b)
        found: dict[int, set[int]] = {}
        for node, group in enumerate(label.tolist()):
            found.setdefault(group, set()).add(node)
        assert sorted(found) == list(range(count))
        assert sorted(map(sorted, found.values())) == sorted(
            map(sorted, nx.connected_components(graph))
        )


def test_first_of_each_group() -> None:
    groups, order = np.array([2, 0, 2, 0, 4]), np.array([3, 2, 4, 1, 0])
    assert firsts(groups, 6, order).tolist() == [3, -1, 2, -1, 4, -1]


def test_pairs_are_drawn_together_as_pandas_does() -> None:
    dice = np.random.default_rng(5)
    size, nodes = 4_000, 60
    frame = pd.DataFrame(
        {
            "a": dice.integers(0, nodes, size),
            "b": dice.integers(0, nodes, size),
            "at": dice.permutation(size),
            "seen": dice.integers(0, 99, size),
            "last": dice.integers(0, 99, size),
            "grade": dice.integers(0, 3, size),
            "weight": dice.random(size),
            "told": dice.random(size) < 0.5,
            "source": dice.integers(0, 3, size),
            "was": dice.integers(0, 4, size),
            "changed": dice.random(size) < 0.1,
        }
    )
    lone = frame.assign(a=nodes + np.arange(size), b=nodes + size)
    frame = pd.concat([frame, lone.head(500)], ignore_index=True)
    pairs = one_per_pair(Rows(*(frame[c].to_numpy() for c in frame)), 3 * size)
    found = pd.DataFrame({c: getattr(pairs, c) for c in frame}).sort_values(["a", "b"])
    rules = {"seen": "min", "last": "max", "grade": "min", "weight": "max", "told": "any"}
    rules |= {"source": "first", "was": "max", "changed": "any"}
    wanted = frame.sort_values("at").groupby(["a", "b"]).agg(rules).reset_index()
    left = found.drop(columns="at").reset_index(drop=True)
    pd.testing.assert_frame_equal(left, wanted[left.columns])
