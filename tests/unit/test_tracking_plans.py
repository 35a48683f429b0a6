"""Plans, channels and controls are refused with file, line and what is allowed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from lakecdp.bronze.mapping import load_source, load_sources
from lakecdp.insight.covered import coverage_lines
from lakecdp.insight.figures import ChannelState, Coverage, Covered, ShortFile, Violation
from lakecdp.measurement.channels import ChannelRules
from lakecdp.measurement.plans import load_plans
from lakecdp.platform.errors import ConfigError
from lakecdp.platform.settings import Conf, load_settings

PLAN = """plan: mine
version: 1
owner: me
source: app_events
event: event
time: time
events:
  AppStart:
    properties:
      a: string
"""
SOURCE = """source: mine
files: "mine/*"
format: csv
columns: {id: string, n: bigint, at: timestamp}
controls:
  sequence: {stream: id, number: n, time: at}
targets: [{table: product, columns: {product_id: id}}]
"""


def plans(folder: Path, text: str) -> list[tuple[str, str]]:
    (folder / "tracking").mkdir()
    (folder / "tracking/mine.yaml").write_text(text)
    conf = Conf(folder)
    found = load_plans(conf, load_sources(conf, load_settings(conf, "demo")))
    return [(p.rules.plan, p.source.mapping.source) for p in found]


def test_plans_are_those_of_sources_in_use(tmp_path: Path) -> None:
    assert plans(tmp_path, PLAN) == [
        ("app", "app_events"), ("mine", "app_events"), ("web", "web_events")
    ]  # fmt: skip
    conf = Conf(tmp_path)
    (tmp_path / "tracking/mine.yaml").unlink()
    only = load_sources(conf, load_settings(conf, "demo"), "web_events")
    assert [p.rules.plan for p in load_plans(conf, only)] == ["web"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "source: app_events",
            "source: apps",
            r"mine\.yaml:4: no source `apps` is in use; .* are app_",
        ),
        (
            "plan: mine",
            "plan: app",
            r"mine\.yaml:1: the plan `app` is already defined in .*app\.yaml",
        ),
        ("version: 1", "version: 0", r"mine\.yaml:2: `version` is 0"),
        ("a: string", "a: text", r"mine\.yaml:10: .*type` is 'text': input should be 'string'"),
        ("a: string", "a: {typ: string}", r"mine\.yaml:10: unknown key .*did you mean `type`"),
        ("event: event", "properties: p", r"mine\.yaml:5: `properties`: 'p' is no JSON path"),
    ],
)
def test_a_wrong_plan_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = PLAN.replace(old, new)
    if "properties: p" in new:
        text += "event: event\n"
    with pytest.raises(ConfigError, match=message):
        plans(tmp_path, text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "{stream: id, number: n, time: at}",
            "{stream: id, number: n}",
            "`controls.sequence.time`",
        ),
        ("time: at}", "time: at, within_days: 0}", "`controls.sequence.within_days` is 0"),
        ("  sequence: {stream: id, number: n, time: at}", "  {}", "give `files`, `sequence` or"),
        ("time: at}", "time: at, frist: 1}", "did you mean `first`"),
    ],
)
def test_a_wrong_control_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SOURCE)
    plain = load_source(path).mapping
    assert plain.controls is not None
    path.write_text(SOURCE.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load_source(path)
    # Controls say nothing of what records mean: nothing is conformed anew.
    path.write_text(SOURCE.replace("time: at}", "time: at, first: 1}"))
    assert load_source(path).mapping.fingerprint() == plain.fingerprint()


def test_channels_have_the_target_of_their_kind_or_their_own(tmp_path: Path) -> None:
    (tmp_path / "channels.yaml").write_text(
        "targets: {online: 0.9}\nchannels:\n  a: {kind: online}\n  b: {kind: offline}\n"
        "  c: {kind: offline, target: 0.5}\n  d: {kind: other}\n"
    )
    rules = ChannelRules.load(Conf(tmp_path))
    assert [rules.target(c) for c in rules.channels.values()] == [
        Decimal("0.9"), Decimal("0.98"), Decimal("0.5"), None
    ]  # fmt: skip
    (tmp_path / "channels.yaml").write_text("channels:\n  a: {kind: offline, target: 95}\n")
    with pytest.raises(ConfigError, match=r"channels\.yaml:2: `channels\.a\.target` is 95"):
        ChannelRules.load(Conf(tmp_path))


def test_coverage_is_told_in_sentences_with_targets_met_and_missed() -> None:
    day = date(2026, 10, 31)
    target = Decimal("0.98")
    figures = Coverage(
        day,
        day,
        (
            Covered(
                "store", "all", "pos", "control_totals", 100, 2, target, Decimal(50), Decimal(5)
            ),
            Covered("store", "all", "tills", "control_totals", 100, 3, target),
            Covered("kiosk", "all", "x", "sequence", 10, 9, None),
        ),
        (ShortFile("pos", "pos/a.csv", day, 10, 8, Decimal(50), Decimal(45)),),
        4,
        (Violation("app", "Start", "ab", "2.0", "wrong_type", "string", 7, day, "f:3"),),
        9,
        ("app: Rate",),
        (
            ChannelState("store", "offline", True, True, ("pos",), day),
            ChannelState("web", "online", True, False, (), None),
            ChannelState("fax", "undeclared", False, True, ("x",), day),
        ),
    )
    assert list(coverage_lines(figures)) == [
        "Coverage from 2026-10-31 to 2026-10-31",
        (
            "  store all: 98.00% of 100 arrived by control totals of pos, target 98% met; 2 missing, "
            "amounts differ by 5.00"
        ),
        "  store all: 97.00% of 100 arrived by control totals of tills, target 98% MISSED; 3 missing",
        "  kiosk all: 10.00% of 10 arrived by sequence numbers of x; 9 missing",
        "Files that differ from their control totals: 4",
        "  pos/a.csv: 8 of 10 records, amount 45.00 of 50.00",
        "Tracking plan: 9 events and properties; never seen: app: Rate",
        "  app Start.ab, version 2.0: wrong_type (string), 7 records, such as f:3",
        "Channels: 1 of 2 declared are connected; not connected: web; seen and not declared: fax",
    ]
    assert [c.source for c in figures.missed] == ["tills"]
