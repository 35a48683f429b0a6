"""User agents: which of them are crawlers, by the list of the library crawlerdetect.

The list is used as the library uses it (what browsers have in common is taken out, then a name is looked
for), but by Spark's own regular expressions: no Python process sees the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from crawlerdetect.providers.crawlers import data as CRAWLERS
from crawlerdetect.providers.exclusions import data as EXCLUSIONS
from pyspark.sql import Column
from pyspark.sql import functions as F

NO_AGENT = ("", "-")
"""What a server writes where a request shows no agent."""


def crawler(agent: Column, also: Mapping[str, str], never: Sequence[str]) -> Column:
    """By what name an agent is known as a crawler.

    Args:
        agent: the user agent.
        also: further crawlers: name -> pattern.
        never: patterns of agents that are none.

    Returns:
        STRING: the part of the agent that the list knows, or the name from `also`; null where it is
        no known crawler.
    """
    rest = F.regexp_replace(F.trim(agent), f"(?i)(?:{'|'.join(EXCLUSIONS)})", "")
    known = F.nullif(F.regexp_extract(rest, f"(?i)(?:{'|'.join(CRAWLERS)})", 0), F.lit(""))
    others = [F.when(agent.rlike(f"(?i)(?:{p})"), F.lit(name)) for name, p in also.items()]
    found = F.coalesce(known, *others)
    spared = [agent.rlike(f"(?i)(?:{p})") for p in never]
    return F.when(~reduce(Column.__or__, spared, F.lit(False)), found)
