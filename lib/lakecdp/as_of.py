"""The gold tables as they would be with the links of a past day.

Facts belong to identifiers and customers are a mapping, so other links need no other facts: the
golden record, features, tags, segments and scores are computed from the facts of now, by the rules
of now, over the links that were in force at the end of the day. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity import golden, golden_rules
from lakecdp.identity.shared import counting, is_shared
from lakecdp.identity.show import links_at
from lakecdp.models import churn
from lakecdp.models.registry import Registry
from lakecdp.platform.errors import UsageError
from lakecdp.platform.job import Job
from lakecdp.segments import catalogue as segment_rules
from lakecdp.segments import engine as segments
from lakecdp.tags import catalogue as tag_rules
from lakecdp.tags import engine as tags
from lakecdp.tags import features

LINK, NODE, FEATURES = "identity.link", "identity.node", "gold.customer_feature"
FEATURES_JOB = "04_tags/features"


class LinksOf:
    """Tables over the links of one day; each is computed when it is asked for.

    Histories (tags, segments) have the one period that begins on the run date.

    Attributes:
        run_date: the day on which facts, ages and windows are looked at: that of the last run.
    """

    def __init__(self, job: Job, day: date):
        """Find the links.

        Args:
            job: the lake, and the rules in force.
            day: the links are those in force at its end (arrival time, UTC).

        Raises:
            UsageError: no links were in force by then, or there are no features yet.
        """
        self._job = job
        last = job.ledger.consumed(FEATURES_JOB, "").run_date
        if not last:
            raise UsageError("No features are there yet: nothing to see with other links.")
        self.run_date = date.fromisoformat(last)
        end = datetime.combine(day + timedelta(days=1), time(), UTC)
        # A chain of wide plans: where one is settled, the next is planned over a table, not over all.
        links = links_at(job.read(LINK), end - timedelta(microseconds=1))
        self._links = links.localCheckpoint()
        if self._links.isEmpty():
            first = job.read(LINK).agg(F.min("valid_from")).collect()[0][0]
            raise UsageError(f"No links were in force on {day}; the first are of {first:%Y-%m-%d}.")

    def read(self, name: str) -> DataFrame:
        """A table over the links of the day; tables that know no customers are as published."""
        made = self._made.get(name)
        return made() if made else self._job.read(name)

    def knows(self, name: str) -> bool:
        """Whether a table depends on the links."""
        return name in self._made

    @cached_property
    def _made(self) -> dict[str, Callable[[], DataFrame]]:
        return {
            LINK: self._link,
            golden.GOLDEN: lambda: self._golden,
            FEATURES: lambda: self._features,
            "gold.tag_matrix": lambda: self._tags,
            "gold.tag_value": self._tag_values,
            "gold.segment": self._segments,
            "gold.score": self._scores,
        }

    def _link(self) -> DataFrame:
        rows = self._job.read(LINK).join(self._links, ["node_id", "customer_id"], "left_semi")
        first = rows.groupBy("node_id", "customer_id").agg(F.min("valid_from").alias("valid_from"))
        return first.withColumn("valid_to", F.lit(None).cast("timestamp"))

    @cached_property
    def _golden(self) -> DataFrame:
        rules = golden_rules.load(self._job.conf)
        identities = IdentityRules.load(self._job.conf)
        links = counting(self._link(), self._job.read(NODE), identities)
        attributes = self._job.read(golden.ATTRIBUTE)
        stated = golden.statements(attributes, links, rules, self.run_date)
        return golden.choose(stated, rules).localCheckpoint()

    @cached_property
    def _features(self) -> DataFrame:
        shared = is_shared(IdentityRules.load(self._job.conf))
        return features.customer_feature(
            features.typed_links(self._links, None, self._job.read(NODE), shared),
            self._job.read("gold.node_day"),
            self._job.read("gold.node_category_day"),
            self._golden,
            self.run_date,
        ).localCheckpoint()

    @cached_property
    def _tags(self) -> DataFrame:
        active = tag_rules.load(self._job.conf).active
        return tags.evaluate(self._features, active, self.run_date)

    def _tag_values(self) -> DataFrame:
        nothing = self._tags.where("false")
        gone = nothing.select("customer_id")
        return self._begun(tags.changes(self._tags, nothing, gone, every=True))

    def _segments(self) -> DataFrame:
        active = segment_rules.load(self._job.conf).active
        cuts = segments.cuts(self._features, active, self.run_date)
        return self._begun(segments.assign(self._features, active, self.run_date, cuts))

    def _begun(self, rows: DataFrame) -> DataFrame:
        day = F.lit(self.run_date)
        return rows.withColumns({"valid_from": day, "valid_to": F.lit(None).cast("date")})

    def _scores(self) -> DataFrame:
        registry = Registry(self._job.settings, churn.NAME)
        champion, _ = registry.aliased()
        if champion is None:
            return self._job.read("gold.score").where("false")
        return churn.scores(self, registry, champion, IdentityRules.load(self._job.conf))
