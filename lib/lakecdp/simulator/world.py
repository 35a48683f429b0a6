"""What all generators share: settings, draws, products, the clock and the deliveries asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.simulator import catalogue
from lakecdp.simulator.randomness import Draw, lookup
from lakecdp.simulator.settings import SimulatorSettings

# All of China keeps one time without daylight saving, so local times are plain arithmetic.
UTC_OFFSET_SECONDS = 8 * 3600
DAY_MS = 86_400_000


def add(frame: DataFrame, **columns: str) -> DataFrame:
    """The frame with columns given as SQL; those of one call do not see each other."""
    return frame.withColumns({name: F.expr(sql) for name, sql in columns.items()})


def pick(frame: DataFrame, *names: str, **columns: str) -> DataFrame:
    """Only the named columns and those given as SQL."""
    return frame.select(*names, *(F.expr(sql).alias(name) for name, sql in columns.items()))


@dataclass(frozen=True)
class World:
    """One company and the deliveries to write. Days are counted from the first day, 0-based.

    Attributes:
        settings: The company.
        first: First day of the deliveries to write.
        last: Last day of the deliveries to write; people and events up to it exist.
    """

    settings: SimulatorSettings
    first: int
    last: int

    @cached_property
    def draw(self) -> Draw:
        """Draws of this company."""
        return Draw(self.settings.seed)

    @cached_property
    def products(self) -> list[catalogue.Product]:
        """All products."""
        return catalogue.products(self.settings)

    @property
    def categories(self) -> tuple[catalogue.Category, ...]:
        """The categories in use."""
        return catalogue.CATEGORIES[: self.settings.catalogue.categories]

    # -- products ---------------------------------------------------------------------------------

    def product(self, value: Callable[[catalogue.Product], object], index: str, kind: str) -> str:
        """SQL for a property of the product with a number."""
        return lookup([str(value(item)) for item in self.products], index, kind)

    def sku(self, index: str) -> str:
        """SQL for the sku of a product number."""
        return self.product(lambda item: item.sku, index, "string")

    def price(self, index: str) -> str:
        """SQL for the price of a product number, DECIMAL(12,2) CNY."""
        return self.product(lambda item: item.price, index, "decimal(12,2)")

    def category_of(self, index: str) -> str:
        """SQL for the category code of a product number."""
        codes = [category.code for category in self.categories]
        return lookup(codes, f"{index} div {self.settings.catalogue.products_per_category}")

    # -- people -----------------------------------------------------------------------------------

    @property
    def newcomers(self) -> int:
        """Persons who appear during the period."""
        return round(self.settings.persons * self.settings.people.newcomer_share)

    @property
    def earlier(self) -> int:
        """Persons who were there before the period."""
        return self.settings.persons - self.newcomers

    @property
    def person_count(self) -> int:
        """Persons who exist by the last day asked for; the inflow goes on after the period."""
        return self.earlier - (-self.newcomers * (self.last + 1) // self.settings.days)

    @property
    def slices(self) -> int:
        """Partitions of the persons, and so files in a large delivery."""
        return self.settings.files.slices or max(1, -(-self.person_count // 12_500))

    # -- deliveries -------------------------------------------------------------------------------

    @property
    def _bulk_days(self) -> int:
        return max(0, self.settings.days - self.settings.files.daily_days)

    def delivery(self, day: int) -> int:
        """Day of the delivery that brings the records of a day."""
        bulk, size = self._bulk_days, self.settings.files.days_per_file
        return min((day // size + 1) * size, bulk) - 1 if day < bulk else day

    def delivery_sql(self, day: str) -> str:
        """`delivery` as SQL."""
        bulk, size = self._bulk_days, self.settings.files.days_per_file
        grouped = f"least(({day} div {size} + 1) * {size}, {bulk}) - 1"
        return f"cast(case when {day} < {bulk} then {grouped} else {day} end as int)"

    @property
    def first_event_day(self) -> int:
        """First day whose records may be part of the deliveries asked for."""
        start = self.first
        while start > 0 and self.delivery(start - 1) == self.delivery(self.first):
            start -= 1
        # Two copies of a record may both be late, and a visit may run past midnight.
        return max(0, start - 2 * self.settings.flaws.late_days - 1)

    # -- clock ------------------------------------------------------------------------------------

    @property
    def epoch_ms(self) -> int:
        """First local midnight as epoch milliseconds."""
        days = (self.settings.first_day - date(1970, 1, 1)).days
        return days * DAY_MS - UTC_OFFSET_SECONDS * 1000

    def day_text(self, day: int) -> str:
        """ISO date of a day."""
        return (self.settings.first_day + timedelta(days=day)).isoformat()

    def date_sql(self, day: str) -> str:
        """SQL for the DATE of a day."""
        return f"date_add(date'{self.settings.first_day.isoformat()}', cast({day} as int))"

    def clock_sql(self, ms: str, separator: str = " ", millis: bool = False) -> str:
        """SQL for local time as text, from milliseconds since the first local midnight."""
        second = f"pmod({ms} div 1000, 86400L)"

        def two(value: str) -> str:
            return f"substr(cast(100 + {value} as string), 2)"

        parts = [
            f"cast({self.date_sql(f'floor({ms} / {DAY_MS}D)')} as string)",
            f"'{separator}'",
            two(f"{second} div 3600"),
            "':'",
            two(f"{second} div 60 % 60"),
            "':'",
            two(f"{second} % 60"),
        ]
        if millis:
            parts += ["'.'", f"substr(cast(1000 + pmod({ms}, 1000L) as string), 2)"]
        return f"concat({', '.join(parts)})"
