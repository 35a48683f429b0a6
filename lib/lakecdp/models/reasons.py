"""Why a customer has a score: what would change if one side of the customer were average.

For each group of features the model is asked again with that group set to the mean of the
training customers (ablation). The difference in log odds is the contribution of the group. For a
logistic regression that is exactly the sum of coefficient x (value - mean) over the group; for
trees it says what the model itself does with an otherwise equal customer. Features that say the
same thing are replaced together, because one of them alone would hide behind the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.models import features

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel

MOST = 3
"""Reasons named per customer."""

LEAST = 1e-6
"""What contributes less (log odds) is no reason: a tree may not look at it at all."""


def probability(model: PipelineModel, rows: DataFrame) -> DataFrame:
    """Add `score` DOUBLE, the probability of the outcome, to rows with `assembled` features."""
    from pyspark.ml.functions import vector_to_array

    scored = rows
    for stage in model.stages[1:]:
        scored = stage.transform(scored)
    scored = scored.withColumn("score", vector_to_array(F.col("probability"))[1])
    return scored.drop("assembled", "scaled", "rawPrediction", "probability", "prediction")


def means(model: PipelineModel) -> dict[str, float]:
    """The mean of each feature over the customers that the model has learned from."""
    scaler: Any = model.stages[1]
    return dict(zip(features.FEATURES, scaler.mean.toArray().tolist(), strict=True))


def contributions(model: PipelineModel, profiles: DataFrame) -> DataFrame:
    """Score customers and say what each group of features contributes.

    Args:
        model: the fitted pipeline.
        profiles: one row per customer_id, see `features.profiles`.

    Returns:
        One row per customer_id: score DOUBLE, words ARRAY<STRING> and gains ARRAY<DOUBLE> (log
        odds), both in the order of `features.GROUPS`.
    """
    from pyspark.ml.functions import array_to_vector

    mean = means(model)
    own = F.array(*(F.lit(None).cast("double") for _ in mean))
    masks = [
        F.array(*(F.lit(mean[f]) if f in group.names else F.lit(None).cast("double") for f in mean))
        for group in features.GROUPS.values()
    ]
    asked = profiles.select(
        "customer_id",
        F.array(*(F.expr(g.words) for g in features.GROUPS.values())).alias("words"),
        F.array(*features.FEATURES).alias("x"),
        F.posexplode(F.array(own, *masks)).alias("variant", "mask"),
    ).select(
        "customer_id",
        "words",
        "variant",
        array_to_vector(F.expr("zip_with(mask, x, (m, v) -> coalesce(m, v))")).alias("assembled"),
    )
    p = F.expr("least(1 - 1e-6D, greatest(1e-6D, score))")
    scored = probability(model, asked).withColumn("odds", F.log(p / (1 - p)))
    answers = scored.groupBy("customer_id").agg(
        F.any_value("words").alias("words"),
        F.expr("max(score) FILTER (WHERE variant = 0)").alias("score"),
        F.array_sort(F.collect_list(F.struct("variant", "odds"))).alias("answers"),
    )
    gains = "transform(slice(answers, 2, size(answers)), a -> answers[0].odds - a.odds)"
    return answers.select("customer_id", "score", "words", F.expr(gains).alias("gains"))


def in_words(contributed: DataFrame) -> DataFrame:
    """The main reasons of each score.

    Args:
        contributed: see `contributions`.

    Returns:
        One row per customer_id: score, reasons ARRAY<STRING>, strongest first, such as
        `raises the risk: last order 74 days ago, usually every 20 days`.
    """
    entries = (
        "zip_with(gains, words, (g, w) -> struct(-abs(g) AS rank, "
        "concat(IF(g > 0, 'raises', 'lowers'), ' the risk: ', w) AS words))"
    )
    ranked = f"array_sort(filter({entries}, e -> e.rank <= -{LEAST}D))"
    return contributed.select(
        "customer_id",
        "score",
        F.expr(f"transform(slice({ranked}, 1, {MOST}), e -> e.words)").alias("reasons"),
    )
