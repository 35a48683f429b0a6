"""What a model learns and what it must show: conf/models/<model>.yaml as a checked object."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lakecdp.platform import yamlfile
from lakecdp.platform.settings import Conf

Days = Annotated[int, Field(ge=1, le=3_650)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LogisticRegression(_Strict):
    """Spark MLlib's logistic regression with an L2 penalty."""

    kind: Literal["logistic_regression"]
    regularisation: float = Field(0.01, ge=0)


class RandomForest(_Strict):
    """Spark MLlib's random forest."""

    kind: Literal["random_forest"]
    trees: int = Field(30, ge=1, le=1_000)
    depth: int = Field(5, ge=1, le=15)


class BoostedTrees(_Strict):
    """Spark MLlib's gradient boosted trees."""

    kind: Literal["boosted_trees"]
    trees: int = Field(20, ge=1, le=1_000)
    depth: int = Field(3, ge=1, le=15)


Candidate = Annotated[LogisticRegression | RandomForest | BoostedTrees, Field(discriminator="kind")]


class Gate(_Strict):
    """What a challenger must show on the test cut-off."""

    least_auc: float = Field(ge=0, le=1)
    least_gain: float = Field(description="AUC above that of the best trivial rule")
    most_gap: float = Field(ge=0, description="AUC on training less AUC on test")
    most_loss: float = Field(ge=0, description="AUC of the champion less that of the challenger")


class Rules(_Strict):
    """One model of conf/models."""

    model: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    description: str = ""
    owner: str = Field(min_length=1)
    horizon_days: tuple[Days, ...] = Field((60,), min_length=1)
    eligible_days: Days = 180
    history_days: Days = 60
    cutoff_step_days: Days = 30
    cutoffs: int = Field(6, ge=1, le=60)
    least_customers: int = Field(100, ge=10)
    most_rows: int = Field(300_000, ge=1_000)
    retrain_days: Days = 28
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    gate: Gate

    @model_validator(mode="after")
    def _falling(self) -> Self:
        if list(self.horizon_days) != sorted(set(self.horizon_days), reverse=True):
            raise ValueError("`horizon_days` must fall from one to the next")
        return self

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides what is learned; the gate and the cadence decide later."""
        body = self.model_dump(
            mode="json", exclude={"description", "owner", "gate", "retrain_days"}
        )
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def load(conf: Conf, model: str) -> Rules:
    """The rules of a model in force.

    Raises:
        ConfigError: the file is missing, or has a wrong key or value.
    """
    document = conf.document(f"models/{model}.yaml")
    rules = yamlfile.parse(document, Rules)
    if rules.model != model:
        raise document.error(f"`model` must be `{model}`, as the file is called", "model")
    return rules


@dataclass(frozen=True)
class Plan:
    """The days of one training; every outcome window ends on or before the next stage's cut-off.

    Attributes:
        last_day: last day with an order.
        horizon: days within which the next order is awaited.
        test: the latest cut-off whose outcome is known.
        training: cut-offs whose outcome is known at `test`, latest first; the model that is tested
            learns from all of them.
        validation: the latest of these; candidates are compared on it.
        selection: those whose outcome is known at `validation`; candidates learn from them.
    """

    last_day: date
    horizon: int
    test: date
    training: tuple[date, ...]

    @property
    def validation(self) -> date:
        """The cut-off on which candidates are compared."""
        return self.training[0]

    @property
    def selection(self) -> tuple[date, ...]:
        """The cut-offs that candidates learn from."""
        limit = self.validation - timedelta(days=self.horizon)
        return tuple(c for c in self.training if c <= limit)

    @property
    def cutoffs(self) -> tuple[date, ...]:
        """All cut-offs, latest first."""
        return (self.test, *self.training)


def plan(rules: Rules, first_day: date, last_day: date) -> Plan | None:
    """Lay the cut-offs into the history; None when it is too short for the shortest horizon.

    Args:
        rules: the model's rules.
        first_day: first day with data.
        last_day: last day with an order.
    """
    earliest = first_day + timedelta(days=rules.history_days)
    for horizon in rules.horizon_days:
        test = last_day - timedelta(days=horizon)
        # The cut-offs that candidates learn from begin one horizon before the validation's.
        steps = [0, *(horizon + i * rules.cutoff_step_days for i in range(rules.cutoffs))]
        between = range(rules.cutoff_step_days, horizon, rules.cutoff_step_days)
        days = sorted({*steps, *between})
        training = [test - timedelta(days=horizon + d) for d in days]
        found = Plan(last_day, horizon, test, tuple(c for c in training if c >= earliest))
        if found.training and found.selection:
            return found
    return None
