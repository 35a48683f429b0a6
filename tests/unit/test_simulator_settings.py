"""The simulator's settings, its file of defaults and what is computed without Spark."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from lakecdp.simulator.catalogue import CATEGORIES, products
from lakecdp.simulator.randomness import Draw
from lakecdp.simulator.settings import FileSettings, SimulatorSettings
from lakecdp.simulator.world import World

CONF = Path(__file__).parents[2] / "conf" / "simulator.yaml"


def test_file_names_every_parameter_with_its_default() -> None:
    read = yaml.safe_load(CONF.read_text(encoding="utf-8"))
    expected = SimulatorSettings().model_dump()
    expected["behaviour"]["hour_weights"] = list(expected["behaviour"]["hour_weights"])
    for name in ("festivals", "campaigns"):
        expected[name] = list(expected[name])
    assert read == expected
    assert SimulatorSettings(**read) == SimulatorSettings()


def _fields(model: type[BaseModel]) -> list[tuple[str, str | None]]:
    found = []
    for name, field in model.model_fields.items():
        found.append((name, field.description))
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += _fields(field.annotation)
    return found


def test_every_parameter_says_what_it_means() -> None:
    fields = _fields(SimulatorSettings)
    assert len(fields) > 60
    assert [name for name, meaning in fields if not meaning] == []


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"person": 5}, "person"),
        ({"persons": 0}, "persons"),
        ({"people": {"member_share": 1.2}}, "member_share"),
        ({"people": {"churn": 0.1}}, "churn"),
        ({"people": {"app_led_share": 0.8}}, "app_led_share"),
        ({"behaviour": {"favourite_category": 0.9}}, "favourite_category"),
        ({"behaviour": {"web_login_share": 0.8}}, "web_login_share"),
        ({"behaviour": {"hour_weights": [1.0] * 23}}, "hour_weights"),
        ({"behaviour": {"hour_weights": [0.0] * 24}}, "hour_weights"),
        ({"identifiers": {"household_share": 1.1}}, "household_share"),
        ({"festivals": [{"name": "x", "first_day": "2026-05-06", "day": 2}]}, "day"),
        ({"campaigns": [{"name": "x", "channel": "fax", "day": "2026-05-06"}]}, "channel"),
        ({"campaigns": [{"name": "x", "channel": "sms", "day": "2026-05-06"}] * 2}, "x twice"),
    ],
)
def test_wrong_settings_are_refused_by_name(wrong: dict[str, object], where: str) -> None:
    with pytest.raises(ValidationError, match=where):
        SimulatorSettings(**wrong)


def test_settings_cannot_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        SimulatorSettings().persons = 4  # type: ignore[misc]


def test_demo_period_ends_on_the_last_of_october() -> None:
    assert SimulatorSettings().last_day == date(2026, 10, 31)


def test_products_have_distinct_skus_and_a_margin() -> None:
    found = products(SimulatorSettings())
    assert len(found) == len({item.sku for item in found}) == 8 * 40
    assert {item.category for item in found} == {category.code for category in CATEGORIES}
    for item in found:
        assert Decimal("0.44") < item.cost / item.price < Decimal("0.76")
        assert item.cost == item.cost.quantize(Decimal("0.01"))
    assert len({(item.category, item.brand) for item in found}) == 8 * 5
    assert products(SimulatorSettings()) == found
    assert products(SimulatorSettings(seed=2)) != found


def test_deliveries_are_grouped_and_then_daily() -> None:
    settings = SimulatorSettings(days=20, files=FileSettings(days_per_file=7, daily_days=4))
    world = World(settings, 0, 19)
    # 16 days in groups of 7, 7 and 2; then each day for itself, also after the period.
    expected = [6] * 7 + [13] * 7 + [15] * 2 + [16, 17, 18, 19, 20, 21]
    assert [world.delivery(day) for day in range(22)] == expected
    assert world.day_text(19) == (settings.first_day + timedelta(days=19)).isoformat()


def test_draws_differ_by_seed_and_purpose_and_by_nothing_else() -> None:
    assert Draw(1).uniform("churn", "pid") == Draw(1).uniform("churn", "pid")
    texts = [Draw(1).bits("churn", "pid"), Draw(2).bits("churn", "pid"), Draw(1).bits("age", "pid")]
    assert len(set(texts)) == 3


def test_persons_go_on_arriving_after_the_period() -> None:
    settings = SimulatorSettings(persons=60, days=20)
    counts = [World(settings, 0, last).person_count for last in (0, 9, 19, 39)]
    # 24 of the 60 are newcomers: 1.2 a day, rounded up.
    assert counts == [36 + 2, 36 + 12, 60, 84]
