"""From records to scored pairs and decisions: what the lake and the command line have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from lakecdp.identity.linkage import blocking
from lakecdp.identity.linkage.decide import Pairs, decide
from lakecdp.identity.linkage.engine import Engine
from lakecdp.identity.linkage.model import Model
from lakecdp.identity.linkage.rules import AUTO, LinkageRules
from lakecdp.identity.linkage.score import prepare, scored
from lakecdp.identity.linkage.train import train

SURE = 0.95
"""Probability of the pairs by which it is found out whether a source holds somebody twice."""
FEW = 0.02
"""So small a share of doubles is taken for mistakes of the model."""


def trained(engine: Engine, raw: str, rules: LinkageRules) -> tuple[Model, pa.Table]:
    """A new model and the pairs that it finds.

    Args:
        engine: where the records are.
        raw: table with id BIGINT, source and one text per column.
        rules: the rules.
    """
    model, prepared, looked = train(engine, raw, rules)
    found = candidates(engine, prepared, looked, rules, model)
    if rules.free_of_duplicates == AUTO:
        model = replace(model, free=free_sources(found, rules))
    return model, found


def matched(
    engine: Engine, raw: str, rules: LinkageRules, model: Model, fresh: str | None = None
) -> pa.Table:
    """The pairs that a model finds.

    Args:
        engine: where the records are.
        raw: see `trained`.
        rules: the rules.
        model: the model.
        fresh: table of ids: only pairs with one of these.
    """
    prepared = prepare(engine, raw, model.fields, blocking.key_columns(engine, model.fields))
    looked = blocking.pairs_of(engine, prepared, model.rules, pairs=rules.pairs, fresh=fresh)
    return candidates(engine, prepared, looked, rules, model)


def candidates(
    engine: Engine, prepared: str, looked: str, rules: LinkageRules, model: Model
) -> pa.Table:
    """Pairs worth at least a review.

    Returns:
        a < b BIGINT, source_a, source_b, probability (six decimals), weight (three decimals) and
        evidence: the columns that speak for and against, with their weights. Ordered by a, b.
    """
    names = [f.name for f in model.fields]
    empty = not model.rules or not engine.one(f"SELECT count(*) FROM {looked}")[0]
    if empty:
        return SHAPE.empty_table()
    table = scored(engine, prepared, looked, model, rules.thresholds.review)
    weights = [
        f"mw_{n}" + (f" + mw_tf_adj_{n}" if n in model.frequencies else "") + f" AS w_{n}"
        for n in names
    ]
    rows = engine.rows(
        f"SELECT s.id_l AS a, s.id_r AS b, l.source AS source_a, r.source AS source_b, "
        f"round(s.match_probability, 6) AS probability, round(s.match_weight, 3) AS weight, "
        f"{', '.join(weights)} FROM {table} AS s JOIN {prepared} AS l ON l.id = s.id_l "
        f"JOIN {prepared} AS r ON r.id = s.id_r ORDER BY a, b"
    )
    told = _evidence(rows, names)
    return rows.select(SHAPE.names[:-1]).append_column("evidence", told).cast(SHAPE)


SHAPE = pa.schema(
    [
        ("a", pa.int64()),
        ("b", pa.int64()),
        ("source_a", pa.string()),
        ("source_b", pa.string()),
        ("probability", pa.float64()),
        ("weight", pa.float64()),
        ("evidence", pa.string()),
    ]
)


def _evidence(rows: pa.Table, names: Sequence[str]) -> pa.Array:
    """Columns with their weights in bits, the weightiest first; those that say nothing left out."""
    values = [np.round(rows.column(f"w_{n}").to_numpy(), 1).tolist() for n in names]
    out = []
    for row in zip(*values, strict=True) if rows.num_rows else ():
        told = [(w, n.removeprefix("v_")) for w, n in zip(row, names, strict=True) if w]
        told.sort(key=lambda x: (-abs(x[0]), x[1]))
        out.append(", ".join(f"{n} {w:+.1f}" for w, n in told))
    return pa.array(out, pa.string())


def free_sources(found: pa.Table, rules: LinkageRules) -> tuple[str, ...]:
    """Sources that seem to hold nobody twice: hardly a record has two sure partners in them."""
    sure = found.filter(pa.compute.greater_equal(found.column("probability"), SURE)).to_pandas()
    if rules.pairs == "within":
        return ()
    there = sorted({*sure["source_a"], *sure["source_b"]})
    out = []
    for source in there:
        left = sure[(sure["source_a"] == source) & (sure["source_b"] != source)]
        right = sure[(sure["source_b"] == source) & (sure["source_a"] != source)]
        partners = np.concatenate([left["b"].to_numpy(), right["a"].to_numpy()])
        inside = int(((sure["source_a"] == source) & (sure["source_b"] == source)).sum())
        _, counts = np.unique(partners, return_counts=True)
        if len(counts) and (counts > 1).mean() < FEW and inside < FEW * len(counts):
            out.append(source)
    return tuple(out)


def decided(
    found: pa.Table, rules: LinkageRules, model: Model, fixed: np.ndarray | None = None
) -> np.ndarray:
    """The decision on each pair; see `decide`."""
    names = sorted({*found.column("source_a").to_pylist(), *found.column("source_b").to_pylist()})
    number = {s: i for i, s in enumerate(names)}
    free = rules.free_of_duplicates
    held = model.free if free == AUTO else tuple(names) if free is True else free or ()
    a, b = (
        np.array([number[s] for s in found.column(c).to_pylist()], dtype=np.int64)
        for c in ("source_a", "source_b")
    )
    pairs = Pairs(
        found.column("a").to_numpy(),
        found.column("b").to_numpy(),
        found.column("probability").to_numpy(),
        found.column("weight").to_numpy(),
        a,
        b,
    )
    known = [number[s] for s in held if s in number]
    return decide(pairs, link=rules.thresholds.link, free=known, fixed=fixed)
