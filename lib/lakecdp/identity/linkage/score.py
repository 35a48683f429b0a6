"""Splink's scoring of pairs with a model."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from lakecdp.identity.linkage import kinds
from lakecdp.identity.linkage.engine import Engine
from lakecdp.identity.linkage.kinds import ELSE, Field, Level
from lakecdp.identity.linkage.model import Model

logging.getLogger("splink").setLevel(logging.ERROR)


def prepare(engine: Engine, raw: str, fields: Sequence[Field], keys: Mapping[Any, str]) -> str:
    """Records in the form in which they are compared.

    Args:
        engine: where the raw records are.
        raw: table with id BIGINT, source and one text per column.
        fields: the columns.
        keys: keys of blocking with their SQL.

    Returns:
        name of a table: id, source, `v_<column>`, what is derived from it, and `k_...` keys.
    """
    d = engine.dialect
    cleaned = [
        f"{kinds.clean(d, f, chr(34) + f.name[2:] + chr(34) if not d.spark else '`' + f.name[2:] + '`')}"
        f" AS {f.name}"
        for f in fields
    ]
    further = [f"{e} AS {f.name}{s}" for f in fields for s, e in kinds.derived(d, f).items()]
    one = f"SELECT id, source, {', '.join(cleaned)} FROM {raw}"
    two = f"SELECT *{''.join(', ' + x for x in further)} FROM ({one}) AS one"
    named = "".join(f", nullif({e}, '') AS {k.column}" for k, e in keys.items())
    return engine.table(engine.fresh("records"), f"SELECT *{named} FROM ({two}) AS two")


def scored(
    engine: Engine, prepared: str, pairs: str, model: Model, at_least: float | None = None
) -> str:
    """Pairs with their weight, probability and level of every column.

    Args:
        engine: where records and pairs are.
        prepared: see `prepare`.
        pairs: see `blocking.pairs_of`.
        model: the model.
        at_least: only pairs of at least this probability.

    Returns:
        name of a table: id_l, id_r, match_weight, match_probability, `gamma_<column>`.
    """
    from splink import Linker, SettingsCreator

    api = engine.splink()
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[_comparison(engine, f, model) for f in model.fields],
        blocking_rules_to_generate_predictions=[{"blocking_rule": "l.id = r.id"}],
        probability_two_random_records_match=model.prior,
        retain_matching_columns=False,
        retain_intermediate_calculation_columns=True,
        unique_id_column_name="id",
    )
    linker = Linker(api.register(prepared), settings, log_level=None, validate_settings=False)
    for field in model.fields:
        if field.name in model.frequencies:
            lookup = _frequencies(engine, prepared, field, model)
            linker.table_management.register_term_frequency_lookup(api.register(lookup), field.name)
    linker.table_management.register_blocked_pairs_for_predict(api.register(pairs))
    found = linker.inference.predict(threshold_match_probability=at_least, warning_mode="never")
    return engine.keep(str(found.physical_name))


def _comparison(engine: Engine, field: Field, model: Model) -> dict[str, Any]:
    a, b = f"{field.name}_l", f"{field.name}_r"
    learnt = model.levels[field.name]
    every = [*kinds.levels(engine.dialect, field), Level(ELSE, "ELSE")]
    out: list[dict[str, Any]] = [
        {
            "sql_condition": f"{a} IS NULL OR {b} IS NULL",
            "label_for_charts": "null",
            "is_null_level": True,
        }
    ]
    for level, (_, m, u) in zip(every, learnt, strict=True):
        one = {
            "sql_condition": level.condition,
            "label_for_charts": level.label,
            "m_probability": m,
            "u_probability": u,
        }
        if level.rare and field.name in model.frequencies:
            one |= {
                "tf_adjustment_column": field.name,
                "tf_minimum_u_value": model.floor(field),
                "disable_tf_exact_match_detection": True,
            }
        out.append(one)
    return {"output_column_name": field.name, "comparison_levels": out}


def _frequencies(engine: Engine, prepared: str, field: Field, model: Model) -> str:
    """How likely another record has the same value, for every value that occurs.

    The record that a pair is about has the value already, so it does not count.
    """
    known = model.frequencies[field.name]
    name = engine.give(
        engine.fresh("frequent"),
        pa.table(
            {
                "h": pa.array(list(known), pa.int64()),
                "n": pa.array(list(known.values()), pa.int64()),
            }
        ),
    )
    x = field.name
    off = model.off(field)
    return engine.table(
        engine.fresh("frequency"),
        f"SELECT v AS {x}, cast(greatest(coalesce(f.n, 1) - {off}, 0.5) AS DOUBLE) / {model.records}.0 AS tf_{x} "
        f"FROM (SELECT {x} AS v, {engine.dialect.hashed(x)} AS h FROM {prepared} WHERE {x} IS NOT NULL "
        f"GROUP BY {x}) AS d LEFT JOIN {name} AS f ON d.h = f.h",
    )
