"""What a linkage has learnt from the records: plain figures, without a personal value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from lakecdp.identity.linkage.blocking import Key, Rule
from lakecdp.identity.linkage.kinds import COMMON_ONLY, Field

Learnt = tuple[str, float, float]
"""A level: its label, its share among true pairs (m) and among other pairs (u)."""


@dataclass(frozen=True)
class Model:
    """A trained model.

    Attributes:
        fields: the columns.
        levels: levels of each column, best first, "else" last.
        prior: share of true pairs among all pairs.
        records: records that it was trained on.
        rules: the rules of blocking.
        frequencies: of each column, hashes of values that several records share: how many.
        free: sources that were found to hold nobody twice.
    """

    fields: tuple[Field, ...]
    levels: Mapping[str, tuple[Learnt, ...]]
    prior: float
    records: int
    rules: tuple[Rule, ...] = ()
    frequencies: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    free: tuple[str, ...] = ()

    def floor(self, of: Field) -> float:
        """The least chance that two strangers share a value of a column."""
        if of.kind in COMMON_ONLY:
            return self.levels[of.name][0][2]
        return 0.5 / self.records

    @staticmethod
    def off(of: Field) -> int:
        """Records of one person that do not count as others with the value."""
        return 4 if of.kind in COMMON_ONLY else 1

    def to_json(self) -> str:
        """The model as text; equal models give equal texts."""
        return json.dumps(
            {
                "fields": [asdict(f) for f in self.fields],
                "levels": {n: [list(x) for x in xs] for n, xs in self.levels.items()},
                "prior": self.prior,
                "records": self.records,
                "rules": [asdict(r) for r in self.rules],
                "frequencies": {
                    n: {str(h): c for h, c in sorted(f.items())}
                    for n, f in self.frequencies.items()
                },
                "free": list(self.free),
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> Model:
        """The way back from `to_json`."""
        data = json.loads(text)
        fields = [Field(**f | {"siblings": tuple(f["siblings"])}) for f in data["fields"]]
        rules = [
            Rule(tuple(Key(**k) for k in r["keys"]), r["most"], tuple(r["refused"]))
            for r in data["rules"]
        ]
        return cls(
            tuple(fields),
            {n: tuple((a, m, u) for a, m, u in xs) for n, xs in data["levels"].items()},
            data["prior"],
            data["records"],
            tuple(rules),
            {n: {int(h): c for h, c in f.items()} for n, f in data["frequencies"].items()},
            tuple(data["free"]),
        )
