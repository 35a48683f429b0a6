"""Learning a model from the records alone: no labels, no thresholds by hand.

The model is that of Fellegi and Sunter, as Splink scores it. Two sets of pairs are compared: random
ones, which show how often strangers agree (u), and those found by blocking, which hold nearly all
true pairs and show how these agree (m). Expectation maximisation runs over both at once, on the
patterns of levels and their numbers; the random pairs count towards u by their probability of being
strangers, so that a column nearly unique to a person is not taken for one that strangers share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from lakecdp.identity.linkage import blocking, kinds
from lakecdp.identity.linkage.engine import Engine
from lakecdp.identity.linkage.kinds import ELSE, Field
from lakecdp.identity.linkage.model import Learnt, Model
from lakecdp.identity.linkage.rules import LinkageRules
from lakecdp.identity.linkage.score import prepare, scored

RANDOM_PAIRS = 400_000
SAMPLE_PAIRS = 500_000
FREQUENT = 20_000
ROUNDS = 200
START = 0.85
"""Share of exact agreement among true pairs at the start of training."""


def day_first(engine: Engine, raw: str, rules: LinkageRules) -> dict[str, bool]:
    """Of date columns whether days come before months, by the values that leave no doubt."""
    d, out = engine.dialect, {}
    for name, rule in rules.columns.items():
        if rule.kind != "date" or rule.day_first is not None:
            continue
        x = f"trim({'`' if d.spark else chr(34)}{name}{'`' if d.spark else chr(34)})"
        xxy = "^([0-9]{1,2})[^0-9]+([0-9]{1,2})[^0-9]+([0-9]{4})"
        one, two = (f"coalesce(try_cast({d.group(x, xxy, i)} AS INT), 0)" for i in (1, 2))
        first, second = engine.one(
            f"SELECT coalesce(sum(CASE WHEN {one} > 12 THEN 1 ELSE 0 END), 0), "
            f"coalesce(sum(CASE WHEN {two} > 12 THEN 1 ELSE 0 END), 0) FROM {raw}"
        )
        out[name] = first >= second
    return out


def train(engine: Engine, raw: str, rules: LinkageRules) -> tuple[Model, str, str]:
    """A model of these records.

    Args:
        engine: where the records are.
        raw: table with id BIGINT, source and one text per column.
        rules: the rules.

    Returns:
        the model, and the names of the prepared records and of the pairs that blocking finds.
    """
    fields = rules.fields(day_first(engine, raw, rules))
    every = blocking.key_columns(engine, fields)
    prepared = prepare(engine, raw, fields, every)
    (records,) = engine.one(f"SELECT count(*) FROM {prepared}")
    budget = max(rules.pairs_per_record * records, 2_000_000)
    chosen = _rules(engine, prepared, rules, list(every), budget)
    first = Model(
        fields=fields,
        levels={f.name: _start(engine, f) for f in fields},
        prior=1.0 / max(records, 2),
        records=max(records, 2),
        rules=tuple(chosen),
    )
    pairs = blocking.pairs_of(engine, prepared, chosen, pairs=rules.pairs)
    return fit(engine, prepared, pairs, first, rules), prepared, pairs


def _rules(
    engine: Engine, prepared: str, rules: LinkageRules, every: list[blocking.Key], budget: float
) -> list[blocking.Rule]:
    if rules.blocking is None:
        return blocking.choose(engine, prepared, every, budget=budget, seed=rules.seed)
    known = rules.keys()
    out = []
    for names in rules.blocking:
        keys = [blocking.Key(*known[n]) for n in names]
        rule, _, _ = blocking.fitted(engine, prepared, keys, budget)
        if rule is not None:
            out.append(rule)
    return out


def _start(engine: Engine, field: Field) -> tuple[Learnt, ...]:
    """Levels before training: falling shares for true pairs, the reverse for others."""
    labels = [x.label for x in kinds.levels(engine.dialect, field)] + [ELSE]
    rest = np.array([0.5**i for i in range(len(labels) - 2)] + [1.0])
    m = np.concatenate([[START], (1 - START) * rest / rest.sum()])
    u = np.array([0.4**i for i in range(len(labels))])[::-1]
    u = u / u.sum()
    return tuple((n, float(a), float(b)) for n, a, b in zip(labels, m, u, strict=True))


def fit(engine: Engine, prepared: str, pairs: str, first: Model, rules: LinkageRules) -> Model:
    """Learn levels, prior and frequencies; see the module."""
    (found,) = engine.one(f"SELECT count(*) FROM {pairs}")
    part, times = pairs, 1
    if found > SAMPLE_PAIRS:
        times = -(-found // SAMPLE_PAIRS)
        where = "((join_key_l % 1000003) * 7919 + (join_key_r % 1000003) * 104729)"
        part = engine.table(
            engine.fresh("sample"), f"SELECT * FROM {pairs} WHERE {where} % {times} = 0"
        )
    strangers, total = _random_pairs(engine, prepared, rules)
    near = _patterns(engine, scored(engine, prepared, part, first), first)
    far = _patterns(engine, scored(engine, prepared, strangers, first), first)
    levels, prior = maximise(first, near, far, total, times)
    frequent = {}
    for field in first.fields:
        if field.kind != "number":
            frequent[field.name] = _frequent(engine, prepared, field)
    return Model(
        fields=first.fields,
        levels=levels,
        prior=prior,
        records=first.records,
        rules=first.rules,
        frequencies=frequent,
    )


def _random_pairs(engine: Engine, prepared: str, rules: LinkageRules) -> tuple[str, float]:
    """Random pairs, and how many pairs there are in all."""
    rows = engine.rows(f"SELECT id, source FROM {prepared} ORDER BY id")
    ids = rows.column("id").to_numpy()
    sources = rows.column("source").combine_chunks().dictionary_encode().indices.to_numpy()
    n = len(ids)
    sizes = np.bincount(sources, minlength=1).astype(float)
    whole, inside = n * (n - 1) / 2.0, float((sizes * (sizes - 1) / 2).sum())
    total = {"within": inside, "between": whole - inside}.get(rules.pairs, whole)
    rng = np.random.default_rng(rules.seed)
    wanted = int(min(RANDOM_PAIRS, 4 * whole + 10))
    a, b = rng.integers(0, n, wanted), rng.integers(0, n, wanted)
    good = a != b
    if rules.pairs == "between":
        good &= sources[a] != sources[b]
    elif rules.pairs == "within":
        good &= sources[a] == sources[b]
    a, b = np.minimum(a, b)[good], np.maximum(a, b)[good]
    flat = np.unique(a.astype(np.int64) * n + b)
    table = pa.table(
        {
            "join_key_l": ids[flat // n],
            "join_key_r": ids[flat % n],
            "match_key": pa.array(["0"] * len(flat), pa.string()),
        }
    )
    return engine.give(engine.fresh("random"), table), max(total, 1.0)


Patterns = tuple[np.ndarray, np.ndarray]
"""Place of the level of every column (-1: null), one row per pattern, and the pairs with it."""


def _patterns(engine: Engine, table: str, first: Model) -> Patterns:
    """Levels are told by their weights, which Splink gives: no two of a column are the same."""
    names = ", ".join(f"mw_{f.name}" for f in first.fields)
    rows = engine.rows(
        f"SELECT {names}, count(*) AS n FROM {table} GROUP BY {names} ORDER BY {names}"
    )
    places = []
    for i, field in enumerate(first.fields):
        weights = np.array([np.log2(m / u) for _, m, u in first.levels[field.name]])
        mine = rows.column(i).to_numpy()
        nearest = np.abs(mine[:, None] - weights[None, :]).argmin(axis=1)
        places.append(np.where(mine == 0, -1, nearest))
    return np.column_stack(places), rows.column("n").to_numpy().astype(float)


def maximise(
    first: Model, near: Patterns, far: Patterns, total: float, times: int
) -> tuple[Mapping[str, tuple[Learnt, ...]], float]:
    """Expectation maximisation over the patterns of both sets of pairs.

    Args:
        first: the model to start from.
        near: patterns of the pairs found by blocking.
        far: patterns of random pairs.
        total: how many pairs there are in all.
        times: how many pairs one of `near` stands for.

    Returns:
        levels and prior.
    """
    fields = first.fields
    m = [np.array([x[1] for x in first.levels[f.name]]) for f in fields]
    places = [near[0][:, i] for i in range(len(fields))]
    beyond = [far[0][:, i] for i in range(len(fields))]
    start = [x.copy() for x in m]
    u = [_share(beyond[i], far[1], len(m[i]), _little(len(m[i]))) for i in range(len(fields))]
    prior = first.prior
    for _ in range(ROUNDS):
        p = _probability(places, m, u, prior)
        q = _probability(beyond, m, u, prior)
        weight = near[1] * p
        before = [x.copy() for x in m]
        m = [_share(places[i], weight, len(m[i]), 3 * start[i]) for i in range(len(fields))]
        u = [
            _share(beyond[i], far[1] * (1 - q), len(m[i]), _little(len(m[i])))
            for i in range(len(fields))
        ]
        prior = float(np.clip(weight.sum() * times / total, 0.1 / total, 0.5))
        if max(float(np.abs(x - y).max()) for x, y in zip(m, before, strict=True)) < 1e-6:
            break
    levels = {}
    for i, field in enumerate(fields):
        labels = [x[0] for x in first.levels[field.name]]
        levels[field.name] = tuple(
            (n, float(a), float(b)) for n, a, b in zip(labels, m[i], u[i], strict=True)
        )
    return levels, prior


def _little(n: int) -> np.ndarray:
    """Half a pair on each level, so that what was not seen is rare, not impossible."""
    return np.full(n, 0.5)


def _share(places: np.ndarray, weight: np.ndarray, n: int, before: np.ndarray) -> np.ndarray:
    said = places >= 0
    counts = np.bincount(places[said], weights=weight[said], minlength=n) + before
    return np.asarray(counts / counts.sum())


def _probability(
    places: Sequence[np.ndarray], m: Sequence[np.ndarray], u: Sequence[np.ndarray], prior: float
) -> np.ndarray:
    odds = np.full(len(places[0]), np.log(prior / (1 - prior)))
    for at, mm, uu in zip(places, m, u, strict=True):
        odds += np.where(at >= 0, np.log(mm / uu)[np.maximum(at, 0)], 0.0)
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -500, 500))))


def _frequent(engine: Engine, prepared: str, field: Field) -> dict[int, int]:
    """Hashes of the values that several records share, and how many do."""
    h = engine.dialect.hashed(field.name)
    rows = engine.rows(
        f"SELECT {h} AS h, count(*) AS n FROM {prepared} WHERE {field.name} IS NOT NULL "
        f"GROUP BY {field.name} HAVING count(*) > 1 ORDER BY n DESC, h LIMIT {FREQUENT}"
    )
    return dict(zip(rows.column("h").to_pylist(), rows.column("n").to_pylist(), strict=True))
