"""Settings of the simulated company: every rate that shapes it, with its meaning and limits."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CatalogueSettings(_Group):
    """What the company sells."""

    categories: int = Field(default=8, ge=1, le=8)
    """Number of categories, taken in order from the built-in list of eight."""
    products_per_category: int = Field(default=40, ge=1, le=2_000)
    """Products in each category."""
    brands_per_category: int = Field(default=5, ge=1, le=20)
    """Brands in each category; the products are dealt to them in turn."""
    popularity_exponent: float = Field(default=0.9, ge=0.0, le=3.0)
    """Zipf exponent of product popularity within a category; 0 makes all equally popular."""


class PeopleSettings(_Group):
    """Who the customers are and how long they stay."""

    newcomer_share: float = Field(default=0.4, ge=0.0, lt=1.0)
    """Share of `persons` that appear during the period, evenly; the others were there before it."""
    history_days: int = Field(default=730, ge=1, le=7_300)
    """How far back the first contact of the earlier customers lies, in days."""
    female_share: Share = 0.62
    """Share of women."""
    member_share: Share = 0.88
    """Share of persons who open a member account sooner or later; the rest stay guests."""
    days_to_register: Positive = 5.0
    """Mean days from the first contact to the member account (exponential)."""
    loyal_share: Share = 0.2
    """Share of persons who never churn."""
    churn_hazard: Positive = 0.005
    """Mean chance per day that one of the other persons stops for good."""
    fade_days: int = Field(default=40, ge=0, le=365)
    """Days before the end in which a person's activity already fades."""
    fade_factor: Share = 0.25
    """Activity in those days as a share of the usual."""
    phone_changes_per_year: float = Field(default=0.12, ge=0.0, le=10.0)
    """Rate at which persons take a new phone number; each does so once at most."""
    price_effect: float = Field(default=0.5, ge=0.0, le=3.0)
    """How much dear goods put off the most price-sensitive persons (power of price to median)."""
    app_led_share: Share = 0.45
    """Share of persons who shop mainly in the app."""
    web_led_share: Share = 0.3
    """Share of persons who shop mainly on the website; those left shop mainly in stores."""
    second_device_share: Share = 0.2
    """Share of persons with two app devices."""
    second_cookie_share: Share = 0.35
    """Share of persons with a second browser cookie; half of these have a third."""

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.app_led_share + self.web_led_share > 1.0:
            raise ValueError("app_led_share + web_led_share is above 1")
        return self


class BehaviourSettings(_Group):
    """How persons browse and buy online."""

    visits_per_day: Positive = 0.028
    """Median browsing visits (app and web) per person and day, besides the purchase cycle."""
    visits_spread: float = Field(default=0.9, ge=0.0, le=3.0)
    """Spread of that rate between persons (sigma of a lognormal)."""
    weekend_factor: Positive = 1.5
    """Browsing on Saturdays and Sundays, as a multiple of other days."""
    hour_weights: tuple[Annotated[float, Field(ge=0.0)], ...] = Field(
        default=(
            *(3.5, 0.9, 1.0, 0.5, 0.4, 0.4, 2.3, 2.7, 3.1, 2.5, 4.2, 3.1),
            *(5.5, 5.4, 5.4, 5.1, 4.8, 4.6, 4.7, 4.4, 8.5, 11.4, 9.8, 5.7),
        ),
        min_length=24,
        max_length=24,
    )
    """Weight of each local hour for the start of a visit, 0 to 23 (shape of a real marketplace)."""
    buyer_share: Share = 0.8
    """Share of persons with a regular purchase cycle; the others buy on impulse only."""
    cycle_days: Annotated[float, Field(ge=4.0)] = 28.0
    """Median days between two planned purchases of a person, over all channels."""
    cycle_spread: float = Field(default=0.6, ge=0.0, le=3.0)
    """Spread of the cycle between persons (sigma of a lognormal)."""
    cycle_jitter: float = Field(default=0.4, ge=0.0, le=0.5)
    """Irregularity of one person's purchases, as a share of the own cycle."""
    views_per_visit: Positive = 4.0
    """Median product views in a visit."""
    views_spread: float = Field(default=0.95, ge=0.0, le=3.0)
    """Spread of the views in a visit (sigma of a lognormal)."""
    max_views: int = Field(default=60, ge=1, le=500)
    """Most product views in a visit."""
    seconds_per_view: Positive = 50.0
    """Median seconds from one view to the next."""
    pace_spread: float = Field(default=0.7, ge=0.0, le=3.0)
    """Spread of that pace between visits (sigma of a lognormal)."""
    favourite_category: Share = 0.55
    """Share of visits that go to a person's favourite category."""
    second_category: Share = 0.2
    """Share of visits that go to the second favourite; the others go anywhere."""
    stay_in_category: Share = 0.8
    """Share of views that stay in the category of the visit."""
    search_share: Share = 0.35
    """Share of visits with a search."""
    cart_share: Share = 0.26
    """Share of browsing visits that put something into the cart."""
    impulse_share: Share = 0.05
    """Share of those that end in a purchase."""
    planned_purchase_share: Share = 0.8
    """Share of planned online purchases that are paid; the others stop in the cart or checkout."""
    checkout_share: Share = 0.5
    """Share of unpaid carts that reach the checkout."""
    remove_share: Share = 0.15
    """Share of carts with several products from which one is taken out again."""
    favourite_share: Share = 0.1
    """Share of app visits with a product marked as favourite."""
    share_share: Share = 0.03
    """Share of app visits in which a product is shared."""
    app_login_share: Share = 0.97
    """Share of a member's app visits that carry the member id."""
    web_stays_logged_in: Share = 0.65
    """Share of a member's web visits that carry the member id from the start."""
    web_login_share: Share = 0.25
    """Share of a member's web visits with a login on the way."""
    web_checkout_login_share: Share = 0.85
    """Share of a member's other web purchases with a login at the checkout."""
    guest_email_share: Share = 0.5
    """Share of web purchases without login that give an e-mail address."""
    guest_phone_share: Share = 0.95
    """Share of app and web purchases without login that give a phone number for the delivery."""
    newsletter_share: Share = 0.02
    """Share of web visits with a sign-up for the newsletter, by e-mail address."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.favourite_category + self.second_category > 1.0:
            raise ValueError("favourite_category + second_category is above 1")
        if self.web_stays_logged_in + self.web_login_share > 1.0:
            raise ValueError("web_stays_logged_in + web_login_share is above 1")
        if sum(self.hour_weights) <= 0.0:
            raise ValueError("hour_weights has no hour above 0")
        return self


class StoreSettings(_Group):
    """How persons buy in stores."""

    stores_per_city: int = Field(default=2, ge=1, le=99)
    """Stores in each city."""
    max_lines: int = Field(default=6, ge=1, le=50)
    """Most lines on a ticket."""
    mean_extra_lines: Positive = 1.3
    """Mean lines on a ticket beyond the first."""
    member_card_share: Share = 0.6
    """Share of a member's tickets that carry the member card."""
    phone_share: Share = 0.2
    """Share of tickets that carry a phone number instead, of members and guests alike."""
    card_phone_share: Share = 0.1
    """Share of tickets with a member card that carry a phone number too."""
    return_share: Share = 0.05
    """Share of tickets of which something is brought back."""
    return_days: int = Field(default=14, ge=1, le=90)
    """Most days until something is brought back."""


class PaymentSettings(_Group):
    """Online payments that fail, by chance and, for one group of devices, because of an error."""

    fail_share: Share = 0.01
    """Share of online payments that fail by chance; the order is then lost."""
    broken_os: str = "HarmonyOS"
    """Operating system of the app whose payment step breaks (see the catalogue of devices)."""
    broken_app_version: str = "8.4.0"
    """Version of the app whose payment step breaks there."""
    broken_from: date = date(2026, 8, 10)
    """First day on which it is broken."""
    broken_days: int = Field(default=14, ge=0, le=3_660)
    """Days until it is repaired; 0: it never breaks."""
    broken_share: Share = 0.8
    """Share of the payments of this group that fail then."""


class FestivalSettings(_Group):
    """Days on which people shop more."""

    name: str = Field(min_length=1)
    """Name, as it stands in the truth."""
    first_day: date
    """First day."""
    days: int = Field(default=1, ge=1, le=60)
    """Length in days."""
    visit_factor: Positive = 1.5
    """Browsing on these days, as a multiple of other days."""
    purchase_factor: Positive = 1.2
    """Carts that end in a purchase, as a multiple of other days."""


class CampaignSettings(_Group):
    """One message to part of the members, with a group that is left out by chance."""

    name: str = Field(min_length=1)
    """Name, which no other campaign has."""
    channel: Literal["push", "sms", "email"]
    """How it is sent."""
    day: date
    """Day on which it is sent."""
    reach_share: Share = 0.6
    """Share of the members of that day that are chosen."""
    control_share: Share = 0.2
    """Share of the chosen that get nothing: the control group."""
    lift: Share = 0.08
    """Mean chance that a member who gets it makes one more planned purchase because of it."""
    within_days: int = Field(default=5, ge=1, le=60)
    """Days within which that happens, the first one being the day it is sent."""
    delivered_share: Share = 0.96
    """Share of the messages that arrive."""
    opened_share: Share = 0.3
    """Mean share of those that are opened; who prefers the channel opens more."""
    clicked_share: Share = 0.25
    """Share of those that are clicked."""


class FlawSettings(_Group):
    """What is wrong with the files, all of it recorded in the truth tables."""

    duplicate_share: float = Field(default=0.005, ge=0.0, le=0.3)
    """Share of records that are delivered a second time, character by character."""
    duplicate_later_share: Share = 0.5
    """Share of those second copies that come with a later delivery."""
    malformed_share: float = Field(default=0.002, ge=0.0, le=0.3)
    """Unreadable or impossible records, as a share of the good ones, which are all still there."""
    late_share: float = Field(default=0.005, ge=0.0, le=0.5)
    """Share of records that are delivered some days late."""
    late_days: int = Field(default=5, ge=1, le=60)
    """Most days by which a record or a second copy is late."""
    odd_spelling_share: Share = 0.5
    """Share of phones and e-mails written in another than the plain way."""


class LossSettings(_Group):
    """What never arrives, all of it recorded in the truth tables."""

    event_share: float = Field(default=0.01, ge=0.0, le=0.9)
    """Share of the events of app and web that are lost on the way; SDKs number what they send."""
    purchase_share: float = Field(default=0.03, ge=0.0, le=0.9)
    """Share of their purchase events that are lost; the back office has the order all the same."""
    truncated_share: Share = 0.1
    """Share of the deliveries of the tills that are cut short."""
    truncated_part: float = Field(default=0.1, ge=0.0, le=0.9)
    """Share of the lines that such a delivery lacks."""
    wrong_amount_share: Share = 0.05
    """Share of the deliveries of the tills whose control totals name a wrong amount."""
    wrong_amount_by: float = Field(default=0.1, gt=0.0, le=1.0)
    """By which share that amount is too high, for the first file of the delivery."""


class TrackingSettings(_Group):
    """What one version of the app sends without it being in the tracking plan."""

    undocumented_version: str = "8.4.2"
    """Version of the app that does so (see the catalogue)."""
    undocumented_share: Share = 0.02
    """Share of its visits with an undocumented event, and with an undocumented property."""


class IdentifierSettings(_Group):
    """Identifiers that several persons use, that belong to nobody, or that are wrong."""

    household_share: Share = 0.2
    """Share of persons who live with another customer, behind one address on the internet."""
    borrow_share: Share = 0.1
    """Share of their online visits on the first device or browser of the other."""
    borrow_login_share: Share = 0.3
    """Share of those visits that go on under the other's account, where there is one."""
    kiosks: int = Field(default=2, ge=1, le=10_000)
    """Tablets in stores on which anybody may browse and log in."""
    kiosk_share: Share = 0.01
    """Share of app visits that take place on such a tablet."""
    till_phone_share: Share = 0.02
    """Share of tickets for which the till is given the store's own phone number."""
    other_phone_share: Share = 0.1
    """Share of persons whose purchases before the member account name a phone of its own."""
    junk_share: Share = 0.005
    """Share of device ids, cookies, phones and e-mails that are known to identify nobody."""
    unlisted_junk_share: Share = 0.002
    """Share of them that are one of a few values that no list knows."""
    mistaken_share: Share = 0.003
    """Share of CRM records with the phone of somebody else, and with the device of somebody else."""


class CrawlerSettings(_Group):
    """Robots on the website."""

    per_thousand_persons: float = Field(default=3.0, ge=0.0, le=1_000.0)
    """Number of robots per thousand persons."""
    stealth_share: Share = 0.35
    """Share of robots that pretend to be a browser; only their rate gives them away."""
    active_share: Share = 0.12
    """Share of days on which a robot comes."""
    declared_views: int = Field(default=30, ge=1, le=100_000)
    """Mean pages of a robot that names itself, on such a day."""
    stealth_views: int = Field(default=180, ge=1, le=100_000)
    """Mean pages of a robot that hides, on such a day (at least a third of it)."""
    stealth_seconds: Positive = 0.4
    """Mean seconds between two pages of a robot that hides."""


class TrafficSettings(_Group):
    """Other clients that are no customers, each kind known by something else."""

    scanners_per_thousand: float = Field(default=1.0, ge=0.0, le=1_000.0)
    """Number of programs per thousand persons that look for holes in the website."""
    scanner_requests: int = Field(default=120, ge=1, le=10_000)
    """Mean requests of a scanner on a day on which it comes (at least a third of it)."""
    scanner_probe_share: Share = 0.6
    """Share of its requests that no visitor makes; half of the others miss, half are pages."""
    scanner_seconds: float = Field(default=0.8, gt=0.0, le=5.0)
    """Mean seconds between two of its requests."""
    scripts_per_thousand: float = Field(default=1.0, ge=0.0, le=1_000.0)
    """Number of devices per thousand persons on which a program uses the app."""
    script_views: int = Field(default=150, ge=1, le=10_000)
    """Mean product views of such a device on a day (at least a third of it)."""
    script_seconds: float = Field(default=0.5, gt=0.0, le=5.0)
    """Mean seconds between two of its views."""
    hosted_per_thousand: float = Field(default=3.0, ge=0.0, le=1_000.0)
    """Number of clients per thousand persons that browse slowly from a hosting provider."""
    bogon_per_thousand: float = Field(default=1.5, ge=0.0, le=1_000.0)
    """Number of clients per thousand persons with an address that nobody on the internet has."""
    browsing_views: int = Field(default=8, ge=1, le=1_000)
    """Mean product views of both on a day."""
    browsing_seconds: float = Field(default=25.0, gt=0.0, le=80.0)
    """Mean seconds between two of their views."""
    farms_per_thousand: float = Field(default=0.5, ge=0.0, le=1_000.0)
    """Number of devices per thousand persons on which accounts are opened for sale."""
    farm_accounts: int = Field(default=12, ge=1, le=200)
    """Mean accounts opened on such a device on a day (at least half of it)."""
    farm_minutes: float = Field(default=6.0, gt=0.0, le=60.0)
    """Mean minutes between two of them."""
    active_share: Share = 0.04
    """Share of days on which one of all these comes."""
    short_view_share: Share = 0.03
    """Share of persons' product views that last for less than three seconds."""


class FileSettings(_Group):
    """How the records are delivered."""

    days_per_file: int = Field(default=30, ge=1, le=3_660)
    """Days in one delivery, up to the daily ones; its folder has the name of its last day."""
    daily_days: int = Field(default=7, ge=0, le=3_660)
    """Days at the end of the period with a delivery of their own, as all later days have."""
    slices: int = Field(default=0, ge=0, le=100_000)
    """Files per large delivery; 0 follows the number of persons. The rows are always the same."""


class SimulatorSettings(_Group):
    """The simulated company. The same settings give the same rows on any machine."""

    seed: int = Field(default=20261031, ge=0, lt=2**63)
    """Any number; another one gives another company of the same kind."""
    persons: int = Field(default=2_000, ge=1, le=100_000_000)
    """Customers who exist at the end of the period, gone ones included."""
    first_day: date = date(2026, 5, 5)
    """First day of the period, local."""
    days: int = Field(default=180, ge=1, le=3_660)
    """Length of the period in days."""
    catalogue: CatalogueSettings = CatalogueSettings()
    """What the company sells."""
    people: PeopleSettings = PeopleSettings()
    """Who the customers are and how long they stay."""
    behaviour: BehaviourSettings = BehaviourSettings()
    """How persons browse and buy online."""
    store: StoreSettings = StoreSettings()
    """How persons buy in stores."""
    payment: PaymentSettings = PaymentSettings()
    """Online payments that fail."""
    festivals: tuple[FestivalSettings, ...] = (
        FestivalSettings(name="618", first_day=date(2026, 6, 16), days=3, visit_factor=2.0),
        FestivalSettings(name="mid_autumn", first_day=date(2026, 9, 25), days=3),
        FestivalSettings(name="national_day", first_day=date(2026, 10, 1), days=7),
    )
    """Days on which people shop more; where two meet, the factors multiply."""
    campaigns: tuple[CampaignSettings, ...] = (
        CampaignSettings(name="summer_push", channel="push", day=date(2026, 7, 6)),
        CampaignSettings(name="school_sms", channel="sms", day=date(2026, 8, 31), lift=0.05),
        CampaignSettings(name="autumn_email", channel="email", day=date(2026, 10, 12), lift=0.04),
    )
    """Messages to members."""
    identifiers: IdentifierSettings = IdentifierSettings()
    """Identifiers that several persons use, that belong to nobody, or that are wrong."""
    flaws: FlawSettings = FlawSettings()
    """What is wrong with the files."""
    losses: LossSettings = LossSettings()
    """What never arrives."""
    tracking: TrackingSettings = TrackingSettings()
    """What one version of the app sends without it being in the tracking plan."""
    crawlers: CrawlerSettings = CrawlerSettings()
    """Robots on the website."""
    traffic: TrafficSettings = TrafficSettings()
    """Other clients that are no customers."""
    files: FileSettings = FileSettings()
    """How the records are delivered."""

    @model_validator(mode="after")
    def _named_apart(self) -> Self:
        names = [campaign.name for campaign in self.campaigns]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"campaigns has {name} twice")
        return self

    @property
    def last_day(self) -> date:
        """Last day of the period."""
        return self.first_day + timedelta(days=self.days - 1)
