"""Who is in which segment: ordered conditions over features and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.segments.catalogue import SCORES, Score, Segmentation, Segmentations
from lakecdp.tags.engine import AS_OF, FEATURES
from lakecdp.tags.expressions import Checker

Cuts = Mapping[tuple[str, str], Sequence[float]]
"""The four limits of a score cut in fifths, by segmentation and score."""


def check(spark: SparkSession, segmentations: Segmentations) -> None:
    """Refuse the segmentations when an expression is wrong; reads no data.

    Raises:
        ConfigError: with file, line, what is wrong and the columns that do exist.
    """
    contract = contracts.table(FEATURES)
    plain = Checker(spark, contract, AS_OF)
    for entry in segmentations.entries:
        rules, document = entry.rules, entry.document
        if rules.status == "retired":
            continue
        if rules.population:
            plain.check(rules.population, document, ["population"], wants="BOOLEAN")
        for name, score in rules.scores.items():
            if name in plain.names:
                raise document.error(
                    f"`{name}` is a column of {FEATURES}; name the score otherwise", "scores", name
                )
            plain.check(f"CAST({score.value} AS DOUBLE)", document, ["scores", name, "value"])
        scored = Checker(spark, contract, AS_OF | dict.fromkeys(rules.scores, "INT"))
        if rules.detail:
            scored.check(rules.detail, document, ["detail"])
        for i, s in enumerate(rules.segments):
            if s.when:
                scored.check(s.when, document, ["segments", i, "when"], wants="BOOLEAN")


def cuts(customers: DataFrame, rules: Sequence[Segmentation], as_of: date) -> Cuts:
    """The exact percentiles 20, 40, 60, 80 of every score without thresholds, in one pass.

    Percentiles are interpolated between neighbours as by SQL's percentile_cont, over the
    population of the segmentation.
    """
    wanted = [
        (s, name, score)
        for s in rules
        for name, score in s.scores.items()
        if score.thresholds is None
    ]
    if not wanted:
        return {}
    steps = ", ".join(str(i / SCORES) for i in range(1, SCORES))
    columns = [
        F.expr(
            f"percentile(CAST({score.value} AS DOUBLE), array({steps})) "
            f"FILTER (WHERE {_population(s)})"
        )
        for s, _, score in wanted
    ]
    row = _dated(customers, as_of).agg(*columns).collect()[0]
    return {(s.segmentation, name): row[i] or [] for i, (s, name, _) in enumerate(wanted)}


def assign(
    customers: DataFrame, rules: Sequence[Segmentation], as_of: date, found: Cuts
) -> DataFrame:
    """The segments of customers.

    Args:
        customers: gold.customer_feature.
        rules: the segmentations wanted.
        as_of: the day that the run stands for.
        found: see `cuts`.

    Returns:
        One row per customer of a population and segmentation in which a condition holds:
        customer_id, segmentation, segment, detail STRING.
    """
    rows = _dated(customers, as_of)
    places = []
    for s in rules:
        # Names of scores belong to their segmentation: they make room for those of the next.
        scores = {
            name: _score(score, found.get((s.segmentation, name), []))
            for name, score in s.scores.items()
        }
        places.append(f"_place_{s.segmentation}")
        rows = rows.withColumns(scores).withColumn(places[-1], _place(s)).drop(*scores)
    return (
        rows.select("customer_id", F.explode(F.array(*places)).alias("place"))
        .where("place.segment IS NOT NULL")
        .select("customer_id", "place.*")
    )


def _place(rules: Segmentation) -> Column:
    """Where a customer stands, as a struct; null outside the population."""
    segment = reduce(
        lambda otherwise, s: F.when(F.expr(s.when or "true"), s.segment).otherwise(otherwise),
        reversed(rules.segments),
        F.lit(None).cast("string"),
    )
    detail = F.expr(rules.detail) if rules.detail else F.lit(None)
    place = F.struct(
        F.lit(rules.segmentation).alias("segmentation"),
        segment.alias("segment"),
        detail.cast("string").alias("detail"),
    )
    return F.when(F.expr(_population(rules)), place)


def _score(score: Score, limits: Sequence[float]) -> Column:
    """A value at a percentile is in the fifth below it; a value at a threshold has reached it."""
    number = f"CAST({score.value} AS DOUBLE)"
    at_least = score.thresholds is not None and score.best == "highest"
    steps = score.thresholds if score.thresholds is not None else limits
    passed = reduce(
        lambda n, limit: (
            n + F.expr(f"CAST({number} {'>=' if at_least else '>'} {float(limit)!r}D AS INT)")
        ),
        steps,
        F.lit(0),
    )
    return (F.lit(1) + passed if score.best == "highest" else F.lit(SCORES) - passed).cast("int")


def _population(rules: Segmentation) -> str:
    return f"({rules.population or 'true'})"


def _dated(customers: DataFrame, as_of: date) -> DataFrame:
    return customers.withColumn("as_of", F.lit(as_of))
