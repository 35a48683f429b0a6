"""Probabilistic linkage on sets with known truth, and on 120,000 records made here.

    python benchmarks/linkage.py [--made 120000] [--only NAME]

The sets are those of LAKECDP_DATA (default ../shared/data from the root); each is linked with rules
inferred from its columns, nothing set by hand. The made records are in the spirit of febrl: names,
address, date of birth and a number; a third of the records repeat another one with mistakes.
"""

from __future__ import annotations

import argparse
import os
import string
import time
from pathlib import Path

import numpy as np
import pandas as pd

from lakecdp.identity.linkage.evaluate import Evaluation, evaluate, read, rules_for, truth_of

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("LAKECDP_DATA", ROOT.parent / "shared" / "data"))
SETS: dict[str, tuple[tuple[str, ...], str, str | None]] = {
    "febrl1": (("febrl/dataset1.csv.gz",), "rec_id", r"rec-(\d+)"),
    "febrl2": (("febrl/dataset2.csv.gz",), "rec_id", r"rec-(\d+)"),
    "febrl3": (("febrl/dataset3.csv.gz",), "rec_id", r"rec-(\d+)"),
    "febrl4": (("febrl/dataset4a.csv.gz", "febrl/dataset4b.csv.gz"), "rec_id", r"rec-(\d+)"),
    "fake_1000": (("splink/fake_1000.csv.gz",), "cluster", None),
    "fake_20000": (("splink/fake_20000.csv.gz",), "group", None),
}
_HEADS = [
    "b",
    "br",
    "c",
    "ch",
    "d",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "st",
    "t",
    "v",
    "w",
]
_HEARTS = ["a", "e", "i", "o", "u", "ai", "ea", "ie", "oo"]
_TAILS = ["", "n", "r", "l", "s", "t", "ck", "nd", "th", "m"]
_STREETS = ["street", "road", "place", "avenue", "crescent", "close", "circuit", "drive"]


def words(rng: np.random.Generator, many: int, syllables: int) -> list[str]:
    """Invented words, each once."""
    found: dict[str, None] = {}
    while len(found) < many:
        found[
            "".join(
                str(rng.choice(_HEADS)) + str(rng.choice(_HEARTS)) + str(rng.choice(_TAILS))
                for _ in range(int(rng.integers(1, syllables + 1)))
            )
        ] = None
    return list(found)


def drawn(rng: np.random.Generator, some: list[str], n: int, skew: float = 0.8) -> np.ndarray:
    """Words drawn with frequencies that fall as those of names do."""
    weight = 1 / np.arange(1, len(some) + 1) ** skew
    return rng.choice(np.array(some, dtype=object), n, p=weight / weight.sum())


def typo(rng: np.random.Generator, text: str) -> str:
    """One mistake: a letter more, less, other, or two turned."""
    if len(text) < 2:
        return text
    i, kind = int(rng.integers(len(text) - 1)), int(rng.integers(4))
    letter = str(rng.choice(list(string.digits if text[i].isdigit() else string.ascii_lowercase)))
    return (
        text[:i] + letter + text[i:],
        text[:i] + text[i + 1 :],
        text[:i] + letter + text[i + 1 :],
        text[:i] + text[i + 1] + text[i] + text[i + 2 :],
    )[kind]


def made(n: int, seed: int = 7) -> pd.DataFrame:
    """Records with truth, a third of them repetitions with mistakes."""
    rng = np.random.default_rng(seed)
    first = n - n // 3
    suburbs = words(rng, 2500, 3)
    at = rng.integers(0, len(suburbs), first)
    born = pd.Timestamp("1930-01-01") + pd.to_timedelta(rng.integers(0, 29000, first), unit="D")
    table = pd.DataFrame(
        {
            "given_name": drawn(rng, words(rng, 1500, 2), first),
            "surname": drawn(rng, words(rng, 9000, 3), first),
            "street_number": rng.integers(1, 250, first).astype(str),
            "address_1": drawn(rng, words(rng, 6000, 3), first, 0.4)
            + " "
            + rng.choice(_STREETS, first),
            "address_2": drawn(rng, words(rng, 5000, 3), first, 0.3),
            "suburb": np.array(suburbs, dtype=object)[at],
            "postcode": (2000 + at).astype(str),
            "state": np.array(["nsw", "vic", "qld", "wa", "sa", "tas"], dtype=object)[at % 6],
            "date_of_birth": born.strftime("%Y%m%d"),
            "soc_sec_id": rng.integers(1_000_000, 9_999_999, first).astype(str),
            "person": np.arange(first).astype(str),
        }
    ).astype(object)
    columns = [c for c in table.columns if c != "person"]
    table.loc[rng.random(first) < 0.3, "address_2"] = ""
    again = table.iloc[rng.integers(0, first, n - first)].reset_index(drop=True)
    rows = again.to_dict("records")
    for row in rows:
        for _ in range(int(rng.integers(1, 6))):
            column = str(rng.choice(columns))
            row[column] = "" if rng.random() < 0.15 else typo(rng, row[column])
        if rng.random() < 0.05:
            row["given_name"], row["surname"] = row["surname"], row["given_name"]
    both = pd.concat([table, pd.DataFrame(rows)], ignore_index=True)
    return both.iloc[rng.permutation(len(both))].reset_index(drop=True)


def show(name: str, e: Evaluation) -> None:
    s, d = e.linked, e.direct
    assert s is not None
    assert d is not None
    print(
        f"{name:<12}{e.records:>9,} records  linked: precision {s.precision:.5f} recall {s.recall:.5f} "
        f"F1 {s.f1:.5f}  by probability alone: F1 {d.f1:.5f}  queue {e.queue[0]:,} "
        f"({e.queue[1]:,} true)  {e.seconds:.1f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--made", type=int, default=120_000)
    parser.add_argument("--only")
    args = parser.parse_args()
    for name, (files, column, pattern) in SETS.items():
        paths = [DATA / f for f in files]
        if args.only not in (None, name):
            continue
        if not all(p.is_file() for p in paths):
            print(f"{name:<12}skipped: {paths[0]} is not there")
            continue
        table = read(paths)
        truth = truth_of(table, column, pattern)
        show(name, evaluate(table, rules_for(table, len(files), [column]), truth))
    if args.only in (None, "made"):
        began = time.monotonic()
        table = made(args.made)
        print(f"made {len(table):,} records in {time.monotonic() - began:.0f} s")
        truth = table.pop("person")
        table["source"] = "made"
        show("made", evaluate(table, rules_for(table, 1, []), truth))


if __name__ == "__main__":
    main()
