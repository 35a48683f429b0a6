"""What `lakecdp linkage` prints and writes."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.decisions import COLUMNS, LINK, UNLINK, in_files
from lakecdp.identity.linkage.rules import LinkageRules, find, load_all
from lakecdp.identity.match import MATCH, MODEL
from lakecdp.platform.errors import UsageError
from lakecdp.platform.job import Job

EMPTY = "(none)"


@dataclass(frozen=True)
class Question:
    """A pair that a reviewer should look at.

    Attributes:
        number: its place in the queue, from 1.
        linkage: name of the linkage.
        ends: type and value of both identifiers.
        probability: that both are one person.
        evidence: columns for and against, in bits.
        values: column to the values of both records.
    """

    number: int
    linkage: str
    ends: tuple[tuple[str, str], tuple[str, str]]
    probability: float
    evidence: str
    values: dict[str, tuple[str, str]]

    def lines(self) -> Iterator[str]:
        """The pair side by side."""
        (type_a, value_a), (type_b, value_b) = self.ends
        yield (
            f"{self.number}. {self.linkage}: {type_a} {value_a} and {type_b} {value_b}, "
            f"probability {self.probability:.3f}"
        )
        for column, (a, b) in self.values.items():
            mark = "=" if a == b and a != EMPTY else " "
            yield f"   {column:<20}{mark} {a:<36}{b}"
        yield f"   evidence in bits: {self.evidence}"


def queue(job: Job, name: str | None, limit: int | None = None) -> list[Question]:
    """Pairs to be reviewed, the most probable first; without those that a person has decided.

    Raises:
        UsageError: no such linkage, or no pairs are there yet.
    """
    every = {name: find(job.conf, name)} if name else {r.name: r for r in load_all(job.conf)}
    if not job.ledger.published.get(MATCH):
        raise UsageError("No pairs are there yet: run the job 03_identity/match first.")
    known = in_files(job, IdentityRules.load(job.conf))
    done = {frozenset(d.nodes) for d in known}
    rows = job.read(MATCH).where(F.col("linkage").isin(*every) & (F.col("decision") == "review"))
    found = [
        r
        for r in rows.orderBy(F.desc("probability"), "linkage", "node_a", "node_b").collect()
        if frozenset((r["node_a"], r["node_b"])) not in done
    ][:limit]
    nodes = sorted({n for r in found for n in (r["node_a"], r["node_b"])})
    clear = job.read("silver.identifier").where(F.col("node_id").isin(nodes))
    named = {r["node_id"]: r["value"] for r in clear.select("node_id", "value").collect()}
    said = _values(job, nodes, every)
    out = []
    for i, r in enumerate(found, 1):
        a, b = r["node_a"], r["node_b"]
        columns = {
            c: (said.get((a, x), EMPTY), said.get((b, x), EMPTY))
            for c, rule in every[r["linkage"]].columns.items()
            for x in [rule.attribute or c]
        }
        ends = ((r["type_a"], named.get(a, str(a))), (r["type_b"], named.get(b, str(b))))
        out.append(Question(i, r["linkage"], ends, r["probability"], r["evidence"] or "", columns))
    return out


def _values(
    job: Job, nodes: Sequence[int], every: dict[str, LinkageRules]
) -> dict[tuple[int, str], str]:
    wanted = {c.attribute or n for r in every.values() for n, c in r.columns.items()}
    rows = job.read("silver.attribute").where(
        F.col("owner_node").isin(list(nodes)) & F.col("name").isin(*wanted)
    )
    last = F.max(F.struct("observed_at", "source", "value"))["value"].alias("value")
    found = rows.groupBy("owner_node", "name").agg(last).collect()
    return {(r["owner_node"], r["name"]): r["value"] for r in found}


def write(
    path: Path, answers: Sequence[tuple[Question, bool]], author: str, reason: str, day: str
) -> None:
    """Append decisions of a reviewer to a file of conf/decisions.

    Args:
        path: the file; made with its header where it is missing.
        answers: pairs, and whether both are one person.
        author: the reviewer.
        reason: why; the evidence is added.
        day: yyyy-mm-dd.
    """
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", newline="") as f:
        writer = csv.DictWriter(f, COLUMNS)
        if new:
            writer.writeheader()
        for q, same in answers:
            (type_a, value_a), (type_b, value_b) = q.ends
            writer.writerow(
                {
                    "action": LINK if same else UNLINK,
                    "type_a": type_a,
                    "value_a": value_a,
                    "type_b": type_b,
                    "value_b": value_b,
                    "author": author,
                    "reason": f"{reason} ({q.linkage} {q.probability:.3f}: {q.evidence})",
                    "decided_on": day,
                }
            )


def picked(
    questions: Sequence[Question], same: Sequence[int], other: Sequence[int]
) -> list[tuple[Question, bool]]:
    """The answers given as numbers of the queue.

    Raises:
        UsageError: a number that is not in the queue, or given as both.
    """
    by_number = {q.number: q for q in questions}
    both = set(same) & set(other)
    if both:
        raise UsageError(f"The pair {min(both)} is given both as one person and as two.")
    for number in (*same, *other):
        if number not in by_number:
            raise UsageError(f"There is no pair {number} in the queue of {len(questions)}.")
    given = [(by_number[n], True) for n in same] + [(by_number[n], False) for n in other]
    return sorted(given, key=lambda x: x[0].number)


def asked(
    questions: Sequence[Question], show: Callable[[str], None], ask: Callable[[str], str]
) -> list[tuple[Question, bool]]:
    """The answers of a person at the terminal: y, n, s (skip) or q (quit)."""
    out = []
    for q in questions:
        for line in q.lines():
            show(line)
        answer = ""
        while answer not in ("y", "n", "s", "q"):
            answer = ask("   one person? y(es), n(o), s(kip), q(uit)").strip().lower()[:1]
        if answer == "q":
            break
        if answer != "s":
            out.append((q, answer == "y"))
    return out


def trained_lines(job: Job, names: Sequence[str]) -> Iterator[str]:
    """What models have learnt: shares of each level among true pairs and others."""
    from lakecdp.identity.linkage.model import Model

    for row in job.read(MODEL).where(F.col("linkage").isin(*names)).orderBy("linkage").collect():
        model = Model.from_json(row["model"])
        yield (
            f"{row['linkage']}: {row['records']:,} records, trained {row['trained_at']:%Y-%m-%d %H:%M}, "
            f"{len(model.rules)} rules of blocking, free of duplicates: {', '.join(model.free) or 'none'}"
        )
        for field in model.fields:
            yield f"  {field.name.removeprefix('v_')} ({field.kind})"
            for label, m, u in model.levels[field.name]:
                yield f"    {label:<24}{m:>8.4f} of true pairs {u:>12.2g} of others"
