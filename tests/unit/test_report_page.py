"""The page: nothing from outside, both languages, every section with and without data."""

from __future__ import annotations

import re
import string
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from lakecdp.insight import charts, page
from lakecdp.insight.figures import (
    Account,
    Activity,
    Buyers,
    Channel,
    ChannelState,
    Churn,
    Cohort,
    Coverage,
    Covered,
    Flagged,
    Group,
    Grouping,
    Named,
    Quality,
    Refusal,
    Report,
    Risk,
    Sales,
    Seller,
    ShortFile,
    TagFigure,
    Tags,
    Traffic,
    Violation,
    Week,
)
from lakecdp.insight.findings import findings
from lakecdp.insight.shelf import file_name, folder
from lakecdp.platform.settings import Settings
from lakecdp.silver.traffic import REASONS

D = Decimal
DAY = date(2026, 11, 1)
EMPTY = Report("Nobody", "EUR", "en", DAY, "", 0, {})


def weeks(amounts: list[int]) -> tuple[Week, ...]:
    first = date(2026, 8, 31)
    return tuple(
        Week(first + timedelta(weeks=i), {"web": 3, "<b>": 1}, {"web": D(a), "<b>": D(5)}, D(40))
        for i, a in enumerate(amounts)
    )


FULL = Report(
    "Lotus & <Lamb>",
    "CNY",
    "en",
    DAY,
    "run7",
    12,
    {"silver.order": 3},
    Sales(
        date(2026, 8, 31),
        DAY,
        D(10000),
        7,
        D("900.5"),
        D("-12.5"),
        0.75,
        D(3000),
        D(9000),
        (Channel("web", 90, D(9000), 20, D(2500)), Channel("<b>", 10, D(1000), 0, D(0))),
        weeks([100, 100, 100, 100, 100, 150, 150, 150, 150]),
        {"USD": 4321},
    ),
    Activity(1000, 300, 400),
    Grouping((Group(Named("new", "New"), 400, D(100)), Group(Named("old", "Old"), 600, D(0)))),
    Grouping(
        (Group(Named("high", "High"), 120, D(610)), Group(Named("lost", "Lost"), 880, D(390)))
    ),
    Buyers(800, 200),
    (
        Cohort(date(2026, 10, 1), 50, (10,), None, True),
        Cohort(date(2026, 11, 1), 0, (None,), 0, False),
    ),
    (
        Seller("t1", "Tea <x>", D(5), D(300), D(200), 0.3),
        Seller("Pot", "Pot", D(1), D(50), D(0), 0.05),
        Seller("Mug", "Mug", D(1), D(1200), D(10), 0.05),
    ),
    (),
    Tags(
        (
            TagFigure(Named("gender", "Gender"), "base", 900, 1000, (("female", 600),), 3),
            TagFigure(Named("city", "City"), "base", 0, 1000, (), 0),
        ),
        0.7,
    ),
    Churn(
        "3", DAY, 0.25, (500, 0, 0, 0, 0, 0, 0, 0, 0, 100),
        (Risk(Named("high", "High"), 100, 20, D(5000)),),
    ),
    Quality(
        (
            Account("pos", "bronze.pos", 1000, 990, 0, 10),
            Account("pos", "silver.order_line", 990, 900, 50, 39),
        ),
        (Refusal("pos", "quantity: … is not of type int", 30, 2),),
        30,
        2,
    ),
    Traffic(tuple(Flagged("web", r, 10) for r in REASONS), 1234, 56),
    Coverage(
        date(2026, 10, 3),
        DAY,
        (
            Covered("app", "all", "app_events", "sequence", 4000, 100, D("0.95")),
            Covered("store", "all", "pos", "control_totals", 1000, 50, D("0.98"), D(900), D(77)),
        ),
        (ShortFile("pos", "pos/<a>.csv", DAY, 1000, 950, D(900), D(823)),),
        1,
        (Violation("app", "Popup", "", "8.4.2", "undocumented_event", "record", 33, DAY, "f:3"),),
        68,
        ("app: RateOrder",),
        (
            ChannelState("app", "online", True, True, ("app_events",), DAY),
            ChannelState("mini_program", "online", True, False, (), None),
            ChannelState("fax", "undeclared", False, True, ("x",), DAY),
        ),
    ),
)  # fmt: skip


class Seen(HTMLParser):
    """Collects what could load something, headings, texts, and checks that tags are closed."""

    VOID = ("meta", "br", "line", "rect")

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.headings: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        loading = ("src", "href", "srcset", "data", "action", "poster", "xlink:href", "background")
        self.links += [f"{k}={v}" for k, v in attrs if k in loading]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("report", [EMPTY, FULL], ids=["empty", "full"])
def test_page_is_whole_and_loads_nothing(report: Report, language: str) -> None:
    text = page.render(replace(report, language=language))
    seen = Seen(text)
    assert seen.open == []
    assert seen.links == []
    assert not {"script", "link", "img", "iframe", "object", "embed", "base"} & set(seen.tags)
    assert "url(" not in text
    assert "@import" not in text
    assert "//" not in text
    assert "default-src 'none'" in text
    words = page.words()
    names = (
        "findings",
        "key_figures",
        "weekly",
        "unattributed",
        "groups",
        "retention",
        "sellers",
        "tags",
    )
    wanted = [words[k][language] for k in (*names, "churn", "quality", "coverage")]
    assert seen.headings == wanted
    assert not re.search(r"\{\w+\}", re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL))
    assert f'<html lang="{words["lang"][language]}">' in text
    # groups has two halves; every other section says once that it has nothing
    assert seen.texts.count(words["no_data"][language]) == (12 if report is EMPTY else 0)
    assert page.render(replace(report, language=language)) == text


def test_numbers_and_names_on_the_page() -> None:
    text = page.render(FULL)
    assert "Lotus &amp; &lt;Lamb&gt;" in text
    assert "<b>:" not in text
    assert 'Tea &lt;x&gt; <span class="sub">t1</span>' in text
    assert 'Pot <span class="sub">' not in text, "an id that is the name is not shown twice"
    assert "+50.0%" in text, "300 after 200"
    assert "×120" in text, "1200 after 10 is no matter of per cent"
    for said in (
        "10,000",
        "9,087",
        "−25.0%",
        "4,321 orders in USD",
        "75.0%",
        "+50.0%",
        "does not balance",
        "1,234 events that no person caused",
        "a pace that no person keeps up",
    ):
        assert said in text, said
    assert text.count("does not balance") == 1
    assert "1 of 2 declared channels are connected. Figures from 2026-10-03 to 2026-11-01." in text
    assert "97.5%" in text
    assert text.count("<b>missed</b>") == 1, "95.0% of 98.0%"
    assert "pos/&lt;a&gt;.csv" in text
    assert "event not in the plan" in text
    assert "Planned and never seen: app: RateOrder." in text
    assert "female 66.7%" in text
    chinese = page.render(replace(FULL, language="zh"))
    assert "4,321 笔 USD 订单" in chinese


def test_words_say_the_same_in_both_languages() -> None:
    fields = {
        k: [{f for _, f, _, _ in string.Formatter().parse(s) if f} for s in v.values()]
        for k, v in page.words().items()
    }
    assert [k for k, v in page.words().items() if list(v) != ["en", "zh"]] == []
    assert [k for k, (en, zh) in fields.items() if en != zh] == []


def test_findings_follow_their_rules() -> None:
    said = {f.key: f for f in findings(FULL)}
    assert list(said) == [
        "finding_concentration",
        "finding_trend_up",
        "finding_risk",
        "finding_anonymous",
        "finding_returned",
        "finding_once",
    ]
    text = page.render(FULL)
    assert "61.0% of sales come from the 12.0% of customers in the tier High." in text
    # the week of 26 October ends on the run date and is full: 4 x 155 against 105 x 3 + 155
    assert "up to 2026-11-01 were 47.6% above" in text.replace("&#39;", "'")
    assert "20 of 100 customers in the tier High" in text
    assert "25.0% of sales (20 orders)" in text
    assert "75.0% of 800 buyers" in text
    even = Grouping((Group(Named("high", "High"), 10, D(10)),))
    calm = replace(EMPTY, tiers=even, buyers=Buyers(10, 9), activity=Activity(10, 10, 10))
    kept = findings(replace(calm, sales=Sales(DAY, DAY, D(100), 1, D(1))))
    assert [(f.key, f.notable) for f in kept] == [
        ("finding_concentration", False),
        ("finding_returned", False),
        ("finding_once", False),
    ]
    assert findings(EMPTY) == ()


def test_columns_are_as_high_as_their_values() -> None:
    axis = charts.Axis(["a", "b"], ["a", "b"])
    series = [charts.Series("x", "#000", [50, 100]), charts.Series("y", "#fff", [50, 0])]
    back = charts.Series("z", "#888", [-25, 0])
    wide, narrow = str(charts.columns("<t>", axis, [*series, back], str)).split("</svg>")[:2]
    assert 'aria-label="&lt;t&gt;"' in wide
    for svg in (wide, narrow):
        rects = re.findall(r'y="([\d.]+)" width="[\d.]+" height="([\d.]+)" fill="(#\w+)"', svg)
        high = {c: [float(h) for _, h, k in rects if k == c] for c in ("#000", "#fff", "#888")}
        assert high["#000"][1] == pytest.approx(2 * high["#000"][0], abs=0.15)
        assert high["#fff"] == pytest.approx([high["#000"][0]], abs=0.15)
        assert high["#888"] == pytest.approx([high["#000"][0] / 2], abs=0.15)
        first, second, below = (float(y) for y, _, _ in rects[:3])
        assert second + high["#fff"][0] == pytest.approx(first, abs=0.15)
        assert below == pytest.approx(first + high["#000"][0], abs=0.15)
    assert str(charts.columns("none", charts.Axis(["a"], ["a"]), [], str)).count("<svg") == 2
    assert [charts.nice_step(s) for s in (0, 5, 7, 100, 1234)] == [1, 1, 2, 20, 250]


def test_heat_can_be_read() -> None:
    for tenth in range(11):
        red, green, blue, text = re.match(
            r"background:rgb\((\d+),(\d+),(\d+)\);color:#(\w+)", charts.heat(tenth / 10, 1)
        ).groups()  # type: ignore[union-attr]
        ground = charts.luminance(int(red), int(green), int(blue))
        ink = 1.0 if text == "fff" else charts.luminance(0x10, 0x15, 0x1C)
        assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 4.0


def test_place_of_the_page() -> None:
    def place(**settings: str) -> str:
        return folder(Settings(**settings))  # type: ignore[arg-type]

    assert place(lake="/data/demo/lake/") == "/data/demo/reports"
    assert place(lake="lake") == "reports"
    assert place(lake="/lake") == "/reports"
    assert place(lake="s3a://bucket/x/lake") == "s3a://bucket/x/reports"
    assert place(lake="s3a://bucket/lake") == "s3a://bucket/reports"
    assert place(lake="s3a://bucket") == "s3a://bucket/reports"
    assert place(lake="/a/b", reports="hdfs://n/r/") == "hdfs://n/r"
    assert file_name("Lotus & Lamb", DAY) == "lotus-lamb-2026-11-01.html"
    assert file_name("莲花/店", DAY) == "莲花-店-2026-11-01.html"
    assert file_name("../", DAY) == "company-2026-11-01.html"
