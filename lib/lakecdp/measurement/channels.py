"""The channels of `conf/channels.yaml`, and those that data has come from."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.bronze.mapping import Source
from lakecdp.platform import yamlfile
from lakecdp.platform.settings import Conf

RULES = "channels.yaml"
Share = Annotated[Decimal, Field(gt=0, le=1, decimal_places=6)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Targets(_Strict):
    """Share of what is expected that is to arrive, by kind of channel."""

    online: Share = Decimal("0.95")
    offline: Share = Decimal("0.98")


class Channel(_Strict):
    """One channel through which the company meets its customers."""

    kind: Literal["online", "offline", "other"] = Field(
        description="other: nothing is counted there, such as a register of members"
    )
    description: str = ""
    target: Share | None = Field(None, description="Default: that of its kind")


class ChannelRules(_Strict):
    """`conf/channels.yaml`."""

    targets: Targets = Targets()
    channels: dict[Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")], Channel] = Field(min_length=1)

    @classmethod
    def load(cls, conf: Conf) -> ChannelRules:
        """The rules in force.

        Raises:
            ConfigError: a wrong key or value, with file and line.
        """
        return yamlfile.parse(conf.document(RULES), cls)

    def target(self, channel: Channel) -> Decimal | None:
        """Share of what is expected in a channel that is to arrive; None where nothing is."""
        return channel.target or getattr(self.targets, channel.kind, None)


def channel_rows(
    rules: ChannelRules, sources: Sequence[Source], landed: set[str], coverage: DataFrame
) -> DataFrame:
    """Channels that are declared, that have a source in use, or that records name.

    Args:
        rules: the declared channels.
        sources: the sources in use.
        landed: names of those of which records have arrived.
        coverage: rows of gold.coverage.

    Returns:
        One row per channel, columns of gold.channel. `first_day` and `last_day` are those of records
        that arrived.
    """
    declared = [
        (name, c.kind, c.description or None, rules.target(c)) for name, c in rules.channels.items()
    ]
    delivering = [
        (s.mapping.channel, s.mapping.source, s.mapping.source in landed) for s in sources
    ]
    session = coverage.sparkSession
    known = session.createDataFrame(
        declared, "channel string, kind string, description string, target decimal(9,6)"
    )
    by_mapping = session.createDataFrame(
        delivering, "channel string, source string, landed boolean"
    )
    seen = coverage.where("arrived > 0").groupBy("channel", "source").agg(
        F.min("day").alias("first_day"), F.max("day").alias("last_day")
    )  # fmt: skip
    every = by_mapping.unionByName(seen.withColumn("landed", F.lit(True)), allowMissingColumns=True)
    found = every.groupBy("channel").agg(
        F.bool_or("landed").alias("connected"),
        F.array_sort(F.collect_set("source")).alias("sources"),
        F.min("first_day").alias("first_day"),
        F.max("last_day").alias("last_day"),
    )
    return known.withColumn("declared", F.lit(True)).join(found, "channel", "full").selectExpr(
        "channel",
        "coalesce(kind, 'undeclared') AS kind",
        "description",
        "target",
        "coalesce(declared, false) AS declared",
        "coalesce(connected, false) AS connected",
        "coalesce(sources, cast(array() AS array<string>)) AS sources",
        "first_day",
        "last_day",
    )  # fmt: skip
