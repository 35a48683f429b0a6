"""What a report says, as plain data: no Spark, no HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

ZERO = Decimal(0)


def share(part: Decimal | int, whole: Decimal | int) -> float | None:
    """Part of a whole as 0 to 1; None where there is no whole."""
    return float(part / whole) if whole else None


@dataclass(frozen=True)
class Named:
    """A key of the rules or the data, and what people call it."""

    key: str
    name: str


@dataclass(frozen=True)
class Channel:
    """Sales of one channel: orders of kind sale, their amount, and the part without a customer."""

    name: str
    orders: int
    amount: Decimal
    anonymous_orders: int
    anonymous_amount: Decimal


@dataclass(frozen=True)
class Week:
    """One week of sales, named by its Monday.

    Attributes:
        monday: its first day.
        orders: orders by channel.
        amount: sales by channel, before returns.
        returned: amount of returns (positive).
    """

    monday: date
    orders: dict[str, int]
    amount: dict[str, Decimal]
    returned: Decimal


@dataclass(frozen=True)
class Sales:
    """Orders up to the run date, in the reporting currency, that of the lake.

    Attributes:
        first: day of the first order.
        last: day of the last order.
        amount: sales before returns.
        returns: number of cancellations.
        returned: their amount (positive).
        adjusted: amount of adjustments and stock corrections, signed.
        traced: part (0 to 1) of the value of return lines whose sale is known.
        margin: amount less cost of the products of sales and cancellations whose costs are known.
        costed: the amount of those products.
        channels: channels, largest amount first.
        weeks: the last weeks without gaps, oldest first.
        foreign: orders left out because no exchange rate is known, by their currency.
    """

    first: date | None = None
    last: date | None = None
    amount: Decimal = ZERO
    returns: int = 0
    returned: Decimal = ZERO
    adjusted: Decimal = ZERO
    traced: float | None = None
    margin: Decimal = ZERO
    costed: Decimal = ZERO
    channels: tuple[Channel, ...] = ()
    weeks: tuple[Week, ...] = ()
    foreign: dict[str, int] = field(default_factory=dict)

    @property
    def orders(self) -> int:
        """Orders of kind sale."""
        return sum(c.orders for c in self.channels)

    @property
    def net(self) -> Decimal:
        """Sales less returns, with adjustments."""
        return self.amount - self.returned + self.adjusted

    @property
    def anonymous_orders(self) -> int:
        """Orders that belong to no customer."""
        return sum(c.anonymous_orders for c in self.channels)

    @property
    def anonymous_amount(self) -> Decimal:
        """Sales that belong to no customer."""
        return sum((c.anonymous_amount for c in self.channels), ZERO)

    @property
    def identified(self) -> float | None:
        """Part of sales (0 to 1) whose customer is known."""
        return share(self.amount - self.anonymous_amount, self.amount)


@dataclass(frozen=True)
class Activity:
    """Customers, and how many of them were active in the last 30 days and the 30 before."""

    customers: int = 0
    active: int = 0
    before: int = 0

    @property
    def change(self) -> float | None:
        """Change of active customers as a part of those before."""
        return share(self.active - self.before, self.before)


@dataclass(frozen=True)
class Group:
    """Customers of one segment: number, all-time amount of products bought."""

    segment: Named
    customers: int
    amount: Decimal


@dataclass(frozen=True)
class Grouping:
    """One segmentation: its segments in the order of its rules."""

    groups: tuple[Group, ...] = ()

    @property
    def customers(self) -> int:
        """Customers in all segments."""
        return sum(g.customers for g in self.groups)

    @property
    def amount(self) -> Decimal:
        """Amount of all segments."""
        return sum((g.amount for g in self.groups), ZERO)


@dataclass(frozen=True)
class Buyers:
    """Customers who have bought, and those who have on more than one day."""

    customers: int = 0
    repeat: int = 0


@dataclass(frozen=True)
class Cohort:
    """Customers whose first order fell into one month.

    Attributes:
        month: first day of the month.
        customers: how many.
        bought: by months since then, how many ordered again; None where the month is still to come.
        running: months since then of the month that is not over on the run date, or None.
        censored: the data begins in this month, so that older customers are among them.
    """

    month: date
    customers: int
    bought: tuple[int | None, ...]
    running: int | None
    censored: bool


@dataclass(frozen=True)
class Seller:
    """A product or category: amount sold in the last 90 days and in the 90 before."""

    key: str
    name: str
    units: Decimal
    amount: Decimal
    before: Decimal
    part: float | None

    @property
    def change(self) -> float | None:
        """Change as a part of the 90 days before."""
        return share(self.amount - self.before, self.before) if self.before > 0 else None


@dataclass(frozen=True)
class TagFigure:
    """How much is known of one tag.

    Attributes:
        tag: the tag.
        level: base, behaviour, preference, value or attitude.
        known: customers with a value.
        customers: all customers.
        top: the most frequent values with their customers.
        values: number of different values.
    """

    tag: Named
    level: str
    known: int
    customers: int
    top: tuple[tuple[str, int], ...]
    values: int


@dataclass(frozen=True)
class Tags:
    """All tags, and the mean completeness of a customer (0 to 1)."""

    tags: tuple[TagFigure, ...] = ()
    completeness: float | None = None


@dataclass(frozen=True)
class Risk:
    """Customers of one tier with a churn score; those at risk and what they bought in 365 days."""

    tier: Named
    scored: int
    at_risk: int
    amount_at_risk: Decimal


@dataclass(frozen=True)
class Churn:
    """Churn scores.

    Attributes:
        version: version of the model; several, joined by commas, while scores are renewed.
        as_of: last day that the features have seen.
        mean: mean score.
        bins: customers by tenth of the score, 0-10 % first.
        risks: by RFM tier, in the order of the rules.
    """

    version: str = ""
    as_of: date | None = None
    mean: float = 0.0
    bins: tuple[int, ...] = ()
    risks: tuple[Risk, ...] = ()

    @property
    def scored(self) -> int:
        """Customers with a score."""
        return sum(self.bins)

    @property
    def at_risk(self) -> int:
        """Customers who are more likely to leave than to stay."""
        return sum(r.at_risk for r in self.risks)


@dataclass(frozen=True)
class Account:
    """Rows of one source and target: in = out + duplicate + quarantined."""

    source: str
    target: str
    rows_in: int
    rows_out: int
    duplicate: int
    quarantined: int

    @property
    def landing(self) -> bool:
        """Whether it is the account of landing files."""
        return self.target.startswith("bronze.")

    @property
    def holds(self) -> bool:
        """Whether nothing was lost."""
        return self.rows_in == self.rows_out + self.duplicate + self.quarantined


@dataclass(frozen=True)
class Refusal:
    """Quarantined records of one source and kind of reason."""

    source: str
    reason: str
    open: int
    replayed: int


@dataclass(frozen=True)
class Flagged:
    """Events of one source that are flagged for one reason; an event may have several."""

    source: str
    reason: str
    events: int


@dataclass(frozen=True)
class Traffic:
    """Events that no person caused, and views too short to count."""

    reasons: tuple[Flagged, ...] = ()
    invalid: int = 0
    not_effective: int = 0


@dataclass(frozen=True)
class Quality:
    """What came in and what was refused."""

    accounts: tuple[Account, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    open: int = 0
    replayed: int = 0

    @property
    def landed(self) -> int:
        """Records delivered."""
        return sum(a.rows_in for a in self.accounts if a.landing)


@dataclass(frozen=True)
class Covered:
    """What arrived of what was expected, of one channel, event, source and basis.

    Amounts are those of control totals, None where there are none; `difference` adds up those of single
    files without their signs.
    """

    channel: str
    event: str
    source: str
    basis: str
    expected: int
    missing: int
    target: Decimal | None
    amount: Decimal | None = None
    difference: Decimal | None = None

    @property
    def share(self) -> float | None:
        """What arrived as a share of what was expected."""
        return share(self.expected - self.missing, self.expected)

    @property
    def met(self) -> bool:
        """Whether enough arrived; yes where there is no target or nothing was expected."""
        if self.target is None:
            return True
        return self.expected - self.missing >= self.target * self.expected


@dataclass(frozen=True)
class ShortFile:
    """A file that holds less than its control total, or another amount."""

    source: str
    file: str
    day: date
    expected: int
    arrived: int
    expected_amount: Decimal | None
    arrived_amount: Decimal | None


@dataclass(frozen=True)
class Violation:
    """Where what is sent is not what the tracking plan says, by version of the app."""

    plan: str
    event: str
    property: str
    app_version: str
    violation: str
    found: str
    records: int
    last_day: date
    sample: str


@dataclass(frozen=True)
class ChannelState:
    """A channel, whether it is declared, and whether data of it has arrived."""

    channel: str
    kind: str
    declared: bool
    connected: bool
    sources: tuple[str, ...]
    last_day: date | None


@dataclass(frozen=True)
class Coverage:
    """What arrived against what was expected, from one day to another.

    `planned` counts events and properties of the tracking plans, `unseen` names those of them that
    were never observed.
    """

    since: date | None = None
    until: date | None = None
    covered: tuple[Covered, ...] = ()
    short: tuple[ShortFile, ...] = ()
    shorts: int = 0
    violations: tuple[Violation, ...] = ()
    planned: int = 0
    unseen: tuple[str, ...] = ()
    channels: tuple[ChannelState, ...] = ()

    @property
    def declared(self) -> int:
        """Channels declared."""
        return sum(c.declared for c in self.channels)

    @property
    def connected(self) -> int:
        """Channels declared and connected."""
        return sum(c.declared and c.connected for c in self.channels)

    @property
    def missed(self) -> tuple[Covered, ...]:
        """Where the target is missed."""
        return tuple(c for c in self.covered if not c.met)


@dataclass(frozen=True)
class Report:
    """Everything on one page."""

    company: str
    currency: str
    language: str
    run_date: date
    run_id: str
    run_seq: int
    versions: dict[str, int]
    sales: Sales = Sales()
    activity: Activity = Activity()
    lifecycle: Grouping = Grouping()
    tiers: Grouping = Grouping()
    buyers: Buyers = Buyers()
    cohorts: tuple[Cohort, ...] = ()
    products: tuple[Seller, ...] = ()
    categories: tuple[Seller, ...] = ()
    tags: Tags = Tags()
    churn: Churn = Churn()
    quality: Quality = Quality()
    traffic: Traffic = Traffic()
    coverage: Coverage = Coverage()
