"""How well a linkage does on records whose truth is known; no lake is needed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from lakecdp.identity.linkage.engine import Duck
from lakecdp.identity.linkage.infer import infer, safe
from lakecdp.identity.linkage.model import Model
from lakecdp.identity.linkage.pairs import decided, trained
from lakecdp.identity.linkage.rules import LinkageRules, find, load
from lakecdp.platform.errors import UsageError
from lakecdp.platform.settings import Conf

ID, SOURCE, TRUTH = "id", "source", "truth"


@dataclass(frozen=True)
class Score:
    """Pairs found, and how many of them are true.

    Attributes:
        found: pairs said to be one person.
        true: those that are.
        all_true: pairs that are one person, whether found or not.
    """

    found: int
    true: int
    all_true: int

    @property
    def precision(self) -> float:
        """Share of the pairs found that are true."""
        return self.true / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of the true pairs that were found."""
        return self.true / self.all_true if self.all_true else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclass
class Evaluation:
    """A linkage of files.

    Attributes:
        rules: the rules, given or inferred.
        records: number of records.
        model: what was learnt.
        pairs: pairs worth a review or more, with their decision; `a` and `b` are the places of
            the records in the files taken as one, from 0.
        seconds: from records to decisions.
        linked: pairs decided `link` and implied by links.
        direct: pairs by their own probability alone, at the link threshold.
        queue: pairs for a reviewer, and how many of them are true; None without a truth.
    """

    rules: LinkageRules
    records: int
    model: Model
    pairs: pd.DataFrame
    seconds: float
    linked: Score | None = None
    direct: Score | None = None
    queue: tuple[int, int | None] = (0, None)

    def told(self, table: pd.DataFrame) -> pd.DataFrame:
        """The pairs with the values of both records side by side."""
        out = self.pairs[["decision", "probability", "weight", "evidence", "a", "b"]]
        names = list(dict.fromkeys(safe(c.attribute or n) for n, c in self.rules.columns.items()))
        for name in [SOURCE, *names]:
            for end in ("a", "b"):
                out = out.assign(**{f"{name}_{end}": table[name].to_numpy()[self.pairs[end]]})
        return out.sort_values(["weight", "a", "b"], ascending=[False, True, True])


def inputs(given: Sequence[str], conf: Conf) -> tuple[LinkageRules | None, list[Path]]:
    """Rules, where the first of the arguments names some, and files.

    Raises:
        UsageError: no file is given, or more than two.
        ConfigError: the rules are wrong.
    """
    rules, rest = None, list(given)
    first = Path(rest[0])
    if first.suffix in (".yaml", ".yml"):
        if not first.is_file():
            raise UsageError(f"There is no file {first}.")
        rules, rest = load(first), rest[1:]
    elif not first.suffix and not first.is_file():
        rules, rest = find(conf, rest[0]), rest[1:]
    if not 1 <= len(rest) <= 2:
        raise UsageError("Give one file of records, or two that are to be linked.")
    return rules, [Path(f) for f in rest]


def read(files: Sequence[Path]) -> pd.DataFrame:
    """Records of CSV files (also compressed) or Parquet, as texts; `source` is the file.

    Raises:
        UsageError: a file is missing, or not to be read.
    """
    tables = []
    names = [p.name.split(".")[0] for p in files]
    for i, path in enumerate(files):
        if not path.is_file():
            raise UsageError(f"There is no file {path}.")
        try:
            if path.suffix == ".parquet":
                table = pd.read_parquet(path).astype("string").astype(object)
            else:
                table = pd.read_csv(
                    path,
                    dtype=str,
                    skipinitialspace=True,
                    keep_default_na=False,
                    sep=_separator(path),
                )
        except (ValueError, OSError, UnicodeDecodeError) as e:
            raise UsageError(f"{path} cannot be read: {' '.join(str(e).split())}.") from None
        table.columns = [safe(str(c)) for c in table.columns]
        given = table.drop(columns=[c for c in (SOURCE, ID) if c in table])
        table = given.assign(**{SOURCE: names[i] if len(set(names)) == len(names) else str(i + 1)})
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _separator(path: Path) -> str:
    import gzip

    opened = gzip.open if path.suffix == ".gz" else open
    if path.suffix not in (".gz", ".csv", ".txt", ".tsv"):
        return ","
    with opened(path, "rt", encoding="utf-8", errors="replace") as f:
        head = str(f.readline())
    return max(",;\t|", key=head.count)


def rules_for(table: pd.DataFrame, files: int, ignore: Sequence[str]) -> LinkageRules:
    """Rules inferred from names and values of columns.

    Raises:
        UsageError: no column tells persons apart.
    """
    columns = infer(table, [SOURCE, *ignore])
    if not columns:
        raise UsageError("No column was found that tells persons apart; give the rules as YAML.")
    return LinkageRules(
        name="inferred", columns=dict(columns), pairs="between" if files > 1 else "all"
    )


def truth_of(table: pd.DataFrame, column: str, pattern: str | None) -> pd.Series:
    """The true person of each record.

    Args:
        table: the records.
        column: column that tells it.
        pattern: regular expression whose first group (or whole match) is the person.

    Raises:
        UsageError: there is no such column, or the pattern is none or never matches.
    """
    name = safe(column)
    if name not in table:
        raise UsageError(f"There is no column `{column}`; there are {', '.join(table.columns)}.")
    if pattern is None:
        return table[name].astype(str)
    try:
        found = table[name].astype(str).str.extract(f"({pattern})", expand=True)
    except re.error as e:
        raise UsageError(f"{pattern!r} is no regular expression ({e}).") from None
    person = found.iloc[:, -1] if found.shape[1] > 1 else found.iloc[:, 0]
    if person.isna().all():
        raise UsageError(f"The pattern {pattern!r} matches no value of `{column}`.")
    return person.fillna("")


def evaluate(
    table: pd.DataFrame, rules: LinkageRules, truth: pd.Series | None = None
) -> Evaluation:
    """Train on the records, link them and hold the links against the truth.

    Args:
        table: the records as texts, with `source`.
        rules: the rules.
        truth: the person of each record; an empty one has no partner.

    Raises:
        UsageError: a column of the rules is not in the records.
    """
    began = time.monotonic()
    attributes = {n: safe(c.attribute or n) for n, c in rules.columns.items()}
    for name, attribute in attributes.items():
        if attribute not in table:
            raise UsageError(
                f"The column `{name}` needs `{attribute}`, which is not in the records; "
                f"there are {', '.join(c for c in table.columns if c != SOURCE)}."
            )
    wanted = pd.DataFrame({n: table[a].replace("", None) for n, a in attributes.items()})
    wanted.insert(0, ID, np.arange(len(table), dtype=np.int64))
    wanted["source"] = table[SOURCE].to_numpy()
    engine = Duck()
    try:
        schema = [pa.field(ID, pa.int64()), *(pa.field(n, pa.string()) for n in attributes)]
        given = pa.Table.from_pandas(
            wanted,
            schema=pa.schema([*schema, pa.field("source", pa.string())]),
            preserve_index=False,
        )
        raw = engine.give("records", given)
        model, found = trained(engine, raw, rules)
    finally:
        engine.close()
    decision = decided(found, rules, model)
    pairs = found.to_pandas().assign(decision=decision)
    out = Evaluation(rules, len(table), model, pairs, time.monotonic() - began)
    out.queue = (int((decision == "review").sum()), None)
    if truth is not None:
        _judge(out, table, truth)
    return out


def _judge(out: Evaluation, table: pd.DataFrame, truth: pd.Series) -> None:
    n = len(table)
    person = truth.to_numpy()
    person = np.where(person == "", [f"\0{i}" for i in range(n)], person)
    codes = pd.factorize(person)[0]
    source = pd.factorize(table[SOURCE])[0]
    pairs, how = out.pairs, out.rules.pairs
    a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
    same = codes[a] == codes[b]
    true = _count(codes, source, how)
    link = (pairs["decision"] == "link").to_numpy()
    graph = coo_matrix((np.ones(int(link.sum())), (a[link], b[link])), shape=(n, n))
    group = connected_components(graph, directed=False)[1]
    both = group.astype(np.int64) * (codes.max() + 1) + codes
    out.linked = Score(_count(group, source, how), _count(both, source, how), true)
    sure = (pairs["probability"] >= out.rules.thresholds.link).to_numpy()
    out.direct = Score(int(sure.sum()), int((sure & same).sum()), true)
    queue = (pairs["decision"] == "review").to_numpy()
    out.queue = (int(queue.sum()), int((queue & same).sum()))


def _count(group: np.ndarray, source: np.ndarray, pairs: str) -> int:
    """Pairs of records of one group that are to be compared."""

    def inside(x: np.ndarray) -> int:
        k = np.unique(x, return_counts=True)[1].astype(np.int64)
        return int((k * (k - 1) // 2).sum())

    whole = inside(group)
    if pairs == "all":
        return whole
    within = inside(group.astype(np.int64) * (source.max() + 1) + source)
    return within if pairs == "within" else whole - within


def lines(e: Evaluation) -> Iterator[str]:
    """The evaluation as it is printed."""
    yield f"records              {e.records:>12,}"
    for name, rule in e.rules.columns.items():
        yield f"  {name:<20}{rule.kind}"
    yield f"pairs compared       {e.rules.pairs:>12}"
    free = (
        ", ".join(e.model.free)
        if e.rules.free_of_duplicates == "auto"
        else str(e.rules.free_of_duplicates)
    )
    yield f"free of duplicates   {free or 'none':>12}"
    count = e.pairs["decision"].value_counts()
    yield f"links                {int(count.get('link', 0)):>12,}"
    review, true = e.queue
    yield f"for review           {review:>12,}" + (
        f"  ({true:,} of them true)" if true is not None else ""
    )
    if e.linked is not None and e.direct is not None:
        yield f"true pairs           {e.linked.all_true:>12,}"
        for label, s in (("linked", e.linked), ("by probability alone", e.direct)):
            yield (
                f"{label:<21}{s.found:>12,}  precision {s.precision:.5f}  recall {s.recall:.5f}"
                f"  F1 {s.f1:.5f}"
            )
    yield f"seconds              {e.seconds:>12.1f}"
