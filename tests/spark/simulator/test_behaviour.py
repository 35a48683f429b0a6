"""How the persons of the simulated company behave, judged over a company of half a year."""

from __future__ import annotations

import json
import math
from collections import Counter
from datetime import date, timedelta

import pytest
from pyspark.sql import SparkSession
from sklearn.metrics import roc_auc_score
from tests.spark.simulator.company import Company, known, local_time, observed, run

from lakecdp.simulator import SimulatorSettings
from lakecdp.simulator.settings import CampaignSettings, PaymentSettings

pytestmark = pytest.mark.spark

BROKEN = PaymentSettings(broken_from=date(2026, 6, 1), broken_days=100)
CAMPAIGNS = tuple(
    CampaignSettings(
        name=f"{channel} in {day:%B}", channel=channel, day=day, reach_share=0.9, control_share=0.5, lift=0.4
    )
    for channel, day in (
        ("push", date(2026, 7, 6)), ("sms", date(2026, 8, 31)), ("email", date(2026, 10, 12))
    )
)  # fmt: skip


@pytest.fixture(scope="module")
def larger(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Company:
    plain = {"duplicate_share": 0, "malformed_share": 0, "late_share": 0}
    settings = SimulatorSettings.model_validate(
        {
            "persons": 800,
            "payment": BROKEN.model_dump(),
            "campaigns": [one.model_dump() for one in CAMPAIGNS],
            "flaws": plain,
            "losses": {"event_share": 0, "purchase_share": 0},
            "crawlers": {"per_thousand_persons": 0},
            "traffic": {"active_share": 0, "short_view_share": 0},
        }
    )
    return run(spark, tmp_path_factory.mktemp("larger"), settings)


def test_payments_fail_for_one_group_while_its_app_is_broken(larger: Company) -> None:
    tried: Counter[bool] = Counter()
    failed: Counter[bool] = Counter()
    for _, line in larger.lines("app_events"):
        event = json.loads(line)
        if event["event"] not in ("PayOrder", "PayFailed"):
            continue
        body, day = event["properties"], local_time("app_events", line).date()
        last = BROKEN.broken_from + timedelta(days=BROKEN.broken_days)
        group = (
            body["$os"] == "HarmonyOS"
            and body["$app_version"] == "8.4.0"
            and BROKEN.broken_from <= day < last
        )
        tried[group] += 1
        failed[group] += event["event"] == "PayFailed"
    assert tried[True] > 15
    assert 0.55 < failed[True] / tried[True] < 0.97
    assert failed[False] / tried[False] < 0.03
    orders = {row["order_id"] for row in larger.truth("order_truth")}
    lost = [json.loads(line) for _, line in larger.lines("app_events") if '"PayFailed"' in line]
    assert all(event["properties"]["order_id"] not in orders for event in lost)


def test_campaigns_lift_purchases_by_what_the_truth_says(larger: Company) -> None:
    orders: dict[int, list[date]] = {}
    for row in larger.truth("order_truth"):
        if row["original_order_id"] is None:
            orders.setdefault(row["person_id"], []).append(row["day"])
    bought: dict[bool, list[int]] = {True: [], False: []}
    chances = []
    for row in larger.truth("campaign"):
        campaign = next(one for one in CAMPAIGNS if one.name == row["campaign"])
        end = row["day"] + timedelta(days=campaign.within_days)
        days = [day for day in orders.get(row["person_id"], []) if row["day"] <= day < end]
        bought[row["treated"]].append(len(days))
        chances.append(row["chance"])
    mean = {treated: sum(counts) / len(counts) for treated, counts in bought.items()}
    # Of the extra visits four fifths online, and all in stores, end in a purchase.
    effect = (mean[True] - mean[False]) / (sum(chances) / len(chances))
    assert 0.65 < effect < 1.1, (mean, sum(map(len, bought.values())))
    share = len(bought[False]) / sum(map(len, bought.values()))
    assert 0.42 < share < 0.58
    touched = {json.loads(line)["member_id"] for _, line in larger.lines("touches")}
    control = {
        (row["campaign"], f"M{100_000_000 + row['person_id']}")
        for row in larger.truth("campaign")
        if not row["treated"]
    }
    sent = {
        (touch["campaign"], touch["member_id"])
        for touch in (json.loads(line) for _, line in larger.lines("touches"))
    }
    assert touched
    assert not sent & control
    assert len(sent) == len(bought[True])


def test_messages_arrive_before_they_are_opened_and_clicked(larger: Company) -> None:
    steps: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for _, line in larger.lines("touches"):
        touch = json.loads(line)
        steps.setdefault((touch["campaign"], touch["member_id"]), []).append(
            (touch["ts"], touch["event"])
        )
    order = ["sent", "delivered", "opened", "clicked"]
    found = [[event for _, event in sorted(touches)] for touches in steps.values()]
    assert all(events == order[: len(events)] for events in found)
    reached = [sum(len(events) > number for events in found) / len(found) for number in range(4)]
    assert reached[0] == 1.0
    assert 0.9 < reached[1] < 1.0
    assert 0.2 < reached[2] < 0.4
    assert 0.03 < reached[3] < 0.13


def test_festivals_are_busier(larger: Company) -> None:
    starts = Counter(
        local_time("app_events", line).date()
        for _, line in larger.lines("app_events")
        if '"AppStart"' in line
    )
    festival = [date(2026, 6, day) for day in (16, 17, 18)]
    weeks = [day + timedelta(days=7 * week) for day in festival for week in (-2, -1, 1, 2)]
    rate = sum(starts[day] for day in festival) / 3
    usual = sum(starts[day] for day in weeks) / len(weeks)
    # Browsing doubles, planned purchases do not.
    assert 1.2 < rate / usual < 2.6


def test_the_price_sensitive_buy_cheaper_goods(larger: Company) -> None:
    people = {row["person_id"]: row["price_sensitivity"] for row in larger.truth("person")}
    assert 0.45 < sum(people.values()) / len(people) < 0.55
    amounts: dict[bool, list[float]] = {True: [], False: []}
    for row in larger.truth("order_truth"):
        if row["channel"] != "store" and not 0.3 < people[row["person_id"]] < 0.7:
            amounts[people[row["person_id"]] >= 0.7].append(math.log(float(row["amount"])))
    mean = {sensitive: sum(logs) / len(logs) for sensitive, logs in amounts.items()}
    assert mean[True] < mean[False]


def test_the_funnel_has_a_realistic_shape(larger: Company) -> None:
    names = Counter(json.loads(line)["event"] for _, line in larger.lines("app_events"))
    names += Counter(json.loads(line)["event"] for _, line in larger.lines("web_events"))
    views = names["ViewProduct"] + names["view_item"]
    carts = names["AddToCart"] + names["add_to_cart"]
    checkouts = names["BeginCheckout"] + names["begin_checkout"]
    purchases = names["PayOrder"] + names["purchase"]
    assert 0.07 < carts / views < 0.14
    assert 0.02 < purchases / views < 0.045
    assert views > carts > checkouts > purchases
    assert set(names) >= {"AppStart", "Search", "RemoveFromCart", "Favorite", "Share", "SignUp"}
    assert set(names) >= {"page_view", "search", "login"}


def test_evenings_and_weekends_are_busier(larger: Company) -> None:
    starts = [
        local_time("app_events", line)
        for _, line in larger.lines("app_events")
        if '"AppStart"' in line
    ]
    hours = Counter(moment.hour for moment in starts)
    assert sum(hours[hour] for hour in range(20, 24)) > 3 * sum(hours[hour] for hour in range(2, 6))
    weekend = sum(moment.weekday() >= 5 for moment in starts) / len(starts)
    # Two days of seven would be 0.286; planned purchases do not care for the weekend.
    assert 0.30 < weekend < 0.38


def test_churn_can_be_predicted_but_not_perfectly(larger: Company) -> None:
    settings = SimulatorSettings()
    cut = settings.last_day - timedelta(days=60)
    days: dict[int, set[date]] = {}
    truth = known(larger)
    for at, found in observed(larger):
        for identifier in found:
            days.setdefault(truth[identifier]["person_id"], set()).add(at.date())
    gone, risk = [], []
    for seen in days.values():
        before = {day for day in seen if day <= cut}
        if not before:
            continue
        # The longer the silence, the higher the risk: what the simplest model knows.
        risk.append((cut - max(before)).days)
        gone.append(not any(day > cut for day in seen))
    assert 0.15 < sum(gone) / len(gone) < 0.6
    assert 0.82 < roc_auc_score(gone, risk) < 0.97
