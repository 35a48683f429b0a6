"""The golden record: of all that sources state of a customer, one value for each attribute.

What is chosen is a function of the statements, the links and the run date: nothing depends on the
order in which records arrived, and whatever is equal by all criteria is told apart by a fixed order.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.governance.identifiers import BLANK
from lakecdp.identity.golden_rules import AttributeRule, GoldenRules
from lakecdp.silver.canonical import SEEN_IN

GOLDEN, ATTRIBUTE = "gold.golden_record", "silver.attribute"
LINK, NODE, VACATED = "identity.link", "identity.node", "silver.vacated"
READS = (ATTRIBUTE, LINK, NODE, VACATED)
KEY = ["customer_id", "attribute"]
ALTERNATIVES = 5

_LABELS = {
    "source": ("source",),
    "recency": ("recency",),
    "identifier": ("identifier",),
    # Several identifiers of one source are one voice; they count where sources are equal.
    "agreement": ("sources", "identifiers"),
}


def statements(
    attributes: DataFrame, links: DataFrame, rules: GoldenRules, run_date: date
) -> DataFrame:
    """What is stated of customers and may win: readable, no junk, and not too old.

    Args:
        attributes: silver.attribute.
        links: identity.link in force, of the customers wanted, without shared devices.
        rules: the rules in force.
        run_date: ages count up to this day.

    Returns:
        One row per statement: customer_id, attribute, source, node_id, observed_at, `value` as read,
        `form` (equal for values that are the same) and `ranks` ARRAY<BIGINT>: its place by each
        criterion, the smaller the better; agreement is filled in by `choose`.
    """
    text = F.nullif(F.btrim("value", F.lit(BLANK)), F.lit(""))
    stated = attributes.where(F.col("name") != SEEN_IN).select(
        F.col("owner_node").alias("node_id"),
        F.col("name").alias("attribute"),
        F.get("identifiers", F.lit(0))["type"].alias("type"),
        "source",
        "observed_at",
        text.alias("text"),
    )
    read = stated.select("*", _by_rule(rules, _read).alias("value"))
    fit = read.where("value IS NOT NULL").where(_fresh(rules, run_date))
    return fit.join(links.select("node_id", "customer_id"), "node_id").select(
        *KEY,
        "source",
        "node_id",
        "observed_at",
        "value",
        _folded(F.col("value")).alias("form"),
        _by_rule(rules, lambda r: _ranks(r, rules)).alias("ranks"),
    )


def _by_rule(rules: GoldenRules, what: Callable[[AttributeRule], Column]) -> Column:
    """An expression by the rule of each attribute."""
    chosen: Column | None = None
    for name, rule in rules.attributes.items():
        is_it = F.col("attribute") == name
        chosen = F.when(is_it, what(rule)) if chosen is None else chosen.when(is_it, what(rule))
    return what(rules.default) if chosen is None else chosen.otherwise(what(rules.default))


def _folded(text: Column) -> Column:
    """Small letters, and one space for several."""
    return F.lower(F.regexp_replace(text, f"[{BLANK}]+", " "))


def _read(rule: AttributeRule) -> Column:
    """The value in its one form; null where it cannot be read or is junk."""
    text = F.col("text")
    value = text
    if rule.type == "date":
        day = F.left(text, F.lit(10)).try_cast("date").cast("string")
        value = F.when(text.rlike(r"^\d{4}-\d{2}-\d{2}(?!\d)"), day)
    elif rule.type == "number":
        value = _number(text)
    elif rule.spellings:
        words = F.create_map(*[F.lit(w) for pair in rule.spellings.items() for w in pair])
        value = F.try_element_at(words, _folded(text))
    for pattern in rule.junk_patterns:
        value = F.when(~text.rlike(f"^(?:{pattern})$"), value)
    if rule.junk_values:
        junk = _folded(text).isin(*rule.junk_values) | _folded(value).isin(*rule.junk_values)
        value = F.when(~junk, value)
    return value


def _number(text: Column) -> Column:
    """12.50 and +12.5 are one number, however large; nothing is rounded."""
    plain = F.when(text.rlike(r"^[+-]?\d+(\.\d*)?$"), F.regexp_replace(text, r"^\+", ""))
    for pattern, by in (
        (r"^(-?)0+(?=\d)", "$1"),
        (r"(\.\d*?)0+$", "$1"),
        (r"\.$", ""),
        (r"^-0$", "0"),
    ):
        plain = F.regexp_replace(plain, pattern, by)
    return plain


def _limit(rules: GoldenRules) -> Column:
    return _by_rule(rules, lambda r: F.lit(r.max_age_days).cast("int"))


def _fresh(rules: GoldenRules, run_date: date) -> Column:
    oldest = F.date_sub(F.lit(run_date), _limit(rules))
    return F.coalesce(F.to_date("observed_at") >= oldest, F.lit(True))


def _ranks(rule: AttributeRule, rules: GoldenRules) -> Column:
    def place(column: str, order: tuple[str, ...]) -> Column:
        found = F.array_position(F.array(*[F.lit(o) for o in order]), F.col(column))
        return F.coalesce(F.nullif(found, F.lit(0)), F.lit(len(order) + 1))

    rank = {
        "source": lambda: [place("source", rule.sources)],
        "recency": lambda: [-F.unix_micros("observed_at")],
        "identifier": lambda: [place("type", rules.identifiers)],
        "agreement": lambda: [F.lit(0), F.lit(0)],
    }
    return F.array(*[c.cast("bigint") for criterion in rule.by for c in rank[criterion]()])


def choose(stated: DataFrame, rules: GoldenRules) -> DataFrame:
    """The golden record from statements.

    Equal values are counted together. They are ordered by the criteria, and what is equal by all of
    them by fixed ones: stated later, then by source, value and identifier in order.

    Args:
        stated: see `statements`.
        rules: the rules in force.

    Returns:
        One row per customer and attribute with a value, in the columns of gold.golden_record.
    """
    order = ("ranks", "late", "source", "value", "node_id", "observed_at")
    late = (-F.unix_micros("observed_at")).alias("late")
    by_value = (
        stated.repartition("customer_id")
        .groupBy(*KEY, "form")
        .agg(
            F.min(F.struct("ranks", late, *order[2:])).alias("best"),
            F.collect_set("source").alias("sources"),
            F.collect_set("node_id").alias("identifiers"),
            F.count(F.lit(1)).alias("rows"),
        )
    )
    labels = _by_rule(
        rules, lambda r: F.array(*[F.lit(label) for c in r.by for label in _LABELS[c]])
    )
    ranks = F.zip_with(
        "best.ranks",
        labels,
        lambda rank, label: (
            F.when(label == "sources", -F.size("sources"))
            .when(label == "identifiers", -F.size("identifiers"))
            .otherwise(rank)
            .cast("bigint")
        ),
    )
    value = F.struct(
        ranks.alias("ranks"),
        *[F.col(f"best.{c}").alias(c) for c in order[1:]],
        *[F.size(c).alias(c) for c in ("sources", "identifiers")],
        "rows",
    )
    every = by_value.groupBy(*KEY).agg(
        F.sort_array(F.collect_list(value)).alias("ranked"),
        *[
            F.size(F.array_distinct(F.flatten(F.collect_list(c)))).alias(f"all_{c}")
            for c in ("sources", "identifiers")
        ],
        F.sum("rows").alias("candidates"),
    )
    chosen = every.select("*", F.get("ranked", F.lit(0)).alias("best"), labels.alias("labels"))
    columns = {
        **{c: F.col(f"best.{c}") for c in ("value", "source", "node_id", "observed_at")},
        "rule": _decided(),
        "agreeing": F.col("best.rows"),
        "alternatives": F.transform(
            F.slice("ranked", 2, ALTERNATIVES),
            lambda r: F.struct(*[r[c].alias(c) for c in ("value", "source", "observed_at")]),
        ),
    }
    contract = contracts.table(GOLDEN)
    return chosen.select(
        *[columns.get(c.name, F.col(c.name)).cast(c.type).alias(c.name) for c in contract.columns]
    )


def _decided() -> Column:
    """The first criterion by which the best value and the next differ.

    Ranks are ordered criterion by criterion, so no other value is alike for longer than the next.
    """
    differs = F.zip_with("best.ranks", F.get("ranked", F.lit(1))["ranks"], lambda a, b: a != b)
    label = F.get("labels", (F.array_position(differs, True) - 1).cast("int"))
    agreed = F.format_string(
        "agreement %d of %d %s",
        F.when(label == "sources", F.col("best.sources")).otherwise(F.col("best.identifiers")),
        F.when(label == "sources", F.col("all_sources")).otherwise(F.col("all_identifiers")),
        label,
    )
    return (
        F.when(F.size("ranked") == 1, "only value")
        .when(label.isNull(), "tie")
        .when(label.isin("sources", "identifiers"), agreed)
        .otherwise(label)
    )


def concerned(nodes: DataFrame, changed_links: DataFrame, links: DataFrame) -> DataFrame:
    """Customers to choose for again.

    Args:
        nodes: node_id of whom something else is stated than before, or something has grown too old.
        changed_links: new rows of identity.link: the closed ones name the customer before.
        links: identity.link in force.

    Returns:
        One row per customer_id BIGINT; some may have no identifier any more.
    """
    owners = links.join(nodes, "node_id", "left_semi").select("customer_id")
    return owners.union(changed_links.select("customer_id")).distinct()


def stating(nodes: DataFrame, attributes: DataFrame) -> DataFrame:
    """The identifiers of whom something is stated: most devices are seen daily and have nothing.

    Args:
        nodes: rows of identity.node.
        attributes: silver.attribute.

    Returns:
        node_id BIGINT, each once.
    """
    owners = attributes.where(F.col("name") != SEEN_IN).selectExpr("owner_node AS node_id")
    return nodes.select("node_id").join(owners, "node_id", "left_semi")


def grown_old(attributes: DataFrame, rules: GoldenRules, last: date, now: date) -> DataFrame:
    """Identifiers of whom a statement could win on the day `last`, and is too old on the day `now`.

    Args:
        attributes: silver.attribute.
        rules: the rules in force.
        last: run date of the run before.
        now: run date, later than `last`.

    Returns:
        node_id BIGINT, repeated.
    """
    day, limit = F.to_date("observed_at"), _limit(rules)
    was = day >= F.date_sub(F.lit(last), limit)
    rows = attributes.withColumnRenamed("name", "attribute")
    return rows.where(was & (day < F.date_sub(F.lit(now), limit))).selectExpr(
        "owner_node AS node_id"
    )


def changes(now: DataFrame, before: DataFrame) -> DataFrame:
    """The rows that differ from the table.

    Args:
        now: rows as chosen.
        before: rows of gold.golden_record of the same customers.

    Returns:
        New and changed rows, and those to be deleted with `_gone` true.
    """
    facts = [c for c in contracts.table(GOLDEN).compared if c not in KEY]
    here = now.select(*KEY, F.struct(*facts).alias("_now"))
    both = here.join(before.select(*KEY, F.struct(*facts).alias("_was")), KEY, "full")
    other = both.where(~F.col("_now").eqNullSafe(F.col("_was")))
    return other.select(*KEY, "_now.*", F.col("_now").isNull().alias("_gone"))
