"""What the health report computes of small graphs, against networkx and numpy."""

from __future__ import annotations

import random

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from lakecdp.identity.health import PERCENTILES, percentiles, strong_parts


@pytest.mark.parametrize("seed", range(20))
def test_parts_without_a_node_are_those_of_networkx(seed: int) -> None:
    dice = random.Random(seed)
    size = dice.randrange(2, 14)
    graph = nx.Graph(nx.random_labeled_tree(size, seed=seed))
    graph.add_edges_from(dice.sample(range(size), 2) for _ in range(dice.randrange(4)))
    rank = [dice.randrange(3) for _ in range(size)]
    ends = np.array(graph.edges, dtype=np.int64).reshape(-1, 2)
    expected = []
    for node in range(size):
        rest = graph.subgraph(set(graph) - {node})
        strong = [p for p in nx.connected_components(rest) if any(rank[n] < rank[node] for n in p)]
        expected.append(len(strong))
    assert strong_parts(np.array(rank), ends[:, 0], ends[:, 1]) == expected


def test_percentiles_are_of_nearest_rank() -> None:
    sizes = [1] * 9 + [2] * 80 + [3] * 10 + [7]
    counts = pd.Series(sizes).value_counts().rename_axis("size").reset_index(name="count")
    expected = [int(np.quantile(sizes, p, method="inverted_cdf")) for p in PERCENTILES]
    assert expected == [2, 3, 3, 7]
    assert percentiles(counts) == tuple(expected)
    assert percentiles(counts.iloc[:0]) == (0, 0, 0, 0)
