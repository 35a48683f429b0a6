"""Which pairs are looked at: rules of agreeing keys, chosen from the records so that none explodes.

A rule is one key or several of different columns. True pairs differ in columns that nobody can
foretell, so rules are chosen by a trial: invented pairs, whose columns differ at random, must be
found by some rule, at the price of as few other pairs as possible. Values that many records share
find nobody and are left out of a rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lakecdp.identity.linkage import kinds
from lakecdp.identity.linkage.engine import Engine
from lakecdp.identity.linkage.kinds import Field

TRIALS = 8_000
MOST_RULES = 40
SAME, NEAR = 0.50, 0.25
"""In an invented pair: how often a column is the same, and how often nearly so; else it differs."""
COARSE = 0.6
"""How often a coarser key (sound, start, part of a date) still agrees when the value nearly does."""
BLOCKS = (2000, 500, 150, 50, 15)
"""Records that a value may have before it is left out of a rule; the most that the budget allows."""


@dataclass(frozen=True)
class Key:
    """A key: a column of the prepared records."""

    field: str
    key: str

    @property
    def column(self) -> str:
        """Its column in the prepared records."""
        return f"k_{self.field}_{self.key}" if self.key else f"k_{self.field}"


@dataclass(frozen=True)
class Rule:
    """A rule with the largest block that it was given.

    Attributes:
        keys: the keys that agree.
        most: records that a value may have; larger blocks as of training are left out.
        refused: hashes of the values left out.
    """

    keys: tuple[Key, ...]
    most: int
    refused: tuple[int, ...] = ()


def key_columns(engine: Engine, fields: Sequence[Field]) -> dict[Key, str]:
    """The keys of the columns with their SQL."""
    return {Key(f.name, k): e for f in fields for k, e in kinds.keys(engine.dialect, f).items()}


def joined(keys: Sequence[Key], alias: str = "") -> str:
    """SQL of the value of a rule: null when one of its keys is."""
    dot = f"{alias}." if alias else ""
    return " || '|' || ".join(f"{dot}{k.column}" for k in keys)


def choose(
    engine: Engine, prepared: str, every: Sequence[Key], *, budget: float, seed: int
) -> list[Rule]:
    """Rules for these records.

    Args:
        engine: where they are.
        prepared: the prepared records.
        every: the keys that rules may use.
        budget: pairs in all.
        seed: of the trial.
    """
    share, chance, records = _statistics(engine, prepared, every)
    usable = [k for k in every if share[k] > 0.005]
    hit = _trial(usable, share, seed)
    candidates: list[tuple[tuple[Key, ...], np.ndarray, float]] = []
    total = records * records / 2
    for i, a in enumerate(usable):
        candidates.append(((a,), hit[a], total * chance[a]))
        candidates += [
            ((a, b), hit[a] & hit[b], total * chance[a] * chance[b])
            for b in usable[i + 1 :]
            if a.field != b.field
        ]
    out: list[Rule] = []
    spent, found = 0.0, np.zeros(TRIALS, dtype=bool)
    tried: set[tuple[Key, ...]] = set()
    # A pair looked at costs less than a join, which touches every record.
    while len(out) < MOST_RULES and spent < budget:
        best = _best(candidates, tried, found, records, (budget - spent) / 2)
        if best is None:
            break
        keys, hits, _ = candidates[best]
        tried.add(keys)
        rule, cost, kept = fitted(engine, prepared, keys, max((budget - spent) / 3, records))
        if rule is None or kept < 0.2:
            continue
        lucky = np.random.default_rng(seed + len(tried)).random(TRIALS) < kept
        found |= hits & lucky
        spent += cost
        out.append(rule)
    return out


def _best(
    candidates: Sequence[tuple[tuple[Key, ...], np.ndarray, float]],
    tried: set[tuple[Key, ...]],
    found: np.ndarray,
    records: int,
    affordable: float,
) -> int | None:
    best, worth = None, 0.0
    for i, (keys, hits, cost) in enumerate(candidates):
        if keys in tried or cost > 20 * affordable:
            continue
        gain = int((hits & ~found).sum())
        value = gain / (min(cost, affordable) + records)
        if gain >= 3 and value > worth:
            best, worth = i, value
    return best


def _statistics(
    engine: Engine, prepared: str, every: Sequence[Key]
) -> tuple[dict[Key, float], dict[Key, float], int]:
    """Share of records that have a key, chance that two of them agree on it, and the records."""
    (records,) = engine.one(f"SELECT count(*) FROM {prepared}")
    share, chance = {}, {}
    for key in every:
        n, squares = engine.one(
            f"SELECT coalesce(sum(n), 0), coalesce(sum(cast(n AS DOUBLE) * (n - 1)), 0) FROM "
            f"(SELECT count(*) AS n FROM {prepared} WHERE {key.column} IS NOT NULL "
            f"GROUP BY {key.column}) AS g"
        )
        share[key] = float(n) / max(records, 1)
        chance[key] = float(squares) / max(float(records) * (records - 1), 1.0)
    return share, chance, int(records)


def _trial(every: Sequence[Key], share: Mapping[Key, float], seed: int) -> dict[Key, np.ndarray]:
    """In which of the invented pairs each key agrees."""
    rng = np.random.default_rng(seed)
    out: dict[Key, np.ndarray] = {}
    for field in dict.fromkeys(k.field for k in every):
        state = rng.random(TRIALS)
        there = rng.random(TRIALS)
        for key in [k for k in every if k.field == field]:
            near = (state < SAME + NEAR) & (rng.random(TRIALS) < COARSE) & bool(key.key)
            out[key] = ((state < SAME) | near) & (there < share[key] ** 2)
    return out


def fitted(
    engine: Engine, prepared: str, keys: Sequence[Key], budget: float
) -> tuple[Rule | None, float, float]:
    """A rule with the largest blocks that its budget allows.

    Returns:
        the rule, or None when even small blocks cost too much; its pairs; and the share of the
        records with these keys that it still takes in.
    """
    value = joined(keys)
    sizes = engine.rows(
        f"SELECT n, count(*) AS blocks FROM (SELECT count(*) AS n FROM {prepared} "
        f"WHERE {value} IS NOT NULL GROUP BY {value}) AS g GROUP BY n ORDER BY n"
    )
    n = sizes.column("n").to_numpy().astype(float)
    blocks = sizes.column("blocks").to_numpy().astype(float)
    held = n * blocks
    if not held.sum():
        return None, 0.0, 0.0
    for most in BLOCKS:
        small = n <= most
        cost = float((blocks * n * (n - 1) / 2)[small].sum())
        if cost <= budget:
            refused = _refused(engine, prepared, keys, most) if not small.all() else ()
            rule = Rule(tuple(keys), most, refused)
            return rule, cost, float(held[small].sum() / held.sum())
    return None, 0.0, 0.0


def _refused(engine: Engine, prepared: str, keys: Sequence[Key], most: int) -> tuple[int, ...]:
    value = joined(keys)
    rows = engine.rows(
        f"SELECT {engine.dialect.hashed(value)} AS h FROM {prepared} WHERE {value} IS NOT NULL "
        f"GROUP BY {value} HAVING count(*) > {most}"
    )
    return tuple(sorted(int(h) for h in rows.column("h").to_pylist()))


def pairs_of(
    engine: Engine, prepared: str, rules: Sequence[Rule], *, pairs: str, fresh: str | None = None
) -> str:
    """The pairs that the rules find, each once.

    Args:
        engine: where the records are.
        prepared: the prepared records.
        rules: the rules.
        pairs: within, between or all.
        fresh: a table of ids: only pairs with one of these.

    Returns:
        name of a table: join_key_l < join_key_r, match_key.
    """
    source = {"between": "l.source <> r.source", "within": "l.source = r.source"}.get(pairs)
    selects = []
    for rule in rules:
        value, parts = joined(rule.keys), ["l.id < r.id"]
        parts += [source] if source else []
        only = f"SELECT id, source, {value} AS v FROM {prepared} WHERE {value} IS NOT NULL"
        if rule.refused:
            name = engine.fresh("refused")
            engine.give(name, pa.table({"h": pa.array(rule.refused, pa.int64())}))
            only += f" AND {engine.dialect.hashed(value)} NOT IN (SELECT h FROM {name})"
        left = engine.table(engine.fresh("block"), only)
        if fresh is None:
            selects.append(
                f"SELECT l.id AS a, r.id AS b FROM {left} AS l JOIN {left} AS r ON l.v = r.v "
                f"WHERE {' AND '.join(parts)}"
            )
            continue
        parts[0] = "l.id <> r.id"
        selects.append(
            f"SELECT least(l.id, r.id) AS a, greatest(l.id, r.id) AS b FROM {left} AS l "
            f"JOIN {left} AS r ON l.v = r.v WHERE {' AND '.join(parts)} "
            f"AND l.id IN (SELECT id FROM {fresh})"
        )
    query = " UNION ".join(selects) or "SELECT id AS a, id AS b FROM " + prepared + " WHERE false"
    return engine.table(
        engine.fresh("pairs"),
        f"SELECT a AS join_key_l, b AS join_key_r, '0' AS match_key FROM ({query}) AS u",
    )
