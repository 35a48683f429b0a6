"""Random draws as Spark SQL text: pure functions of a seed, a purpose and the keys of a row.

A draw never depends on the order of rows, on the partition or on an earlier draw, so any
parallelism and any range of days gives the same rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

_MANTISSA = (1 << 53) - 1


def text(value: str) -> str:
    """A Spark SQL string literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def lookup(values: Sequence[str], index: str, kind: str = "string") -> str:
    """SQL for the value at a 0-based index of a constant list, NULL outside of it."""
    array = f"split({text(chr(1).join(values))}, {text(chr(1))})"
    if kind != "string":
        array = f"cast({array} as array<{kind}>)"
    return f"get({array}, cast({index} as int))"


def zipf(count: int, exponent: float, uniform: str) -> str:
    """SQL for a rank from 0 to count-1 whose frequency falls with the power of the rank.

    It inverts the continuous power law, which is a close and constant-time stand-in for the
    discrete one.
    """
    if abs(exponent - 1.0) < 1e-9:
        value = f"power({count + 1}D, {uniform})"
    else:
        rest = 1.0 - exponent
        span = (count + 1.0) ** rest - 1.0
        value = f"power(1D + {uniform} * {span!r}D, {1.0 / rest!r}D)"
    return f"least({count - 1}, cast(floor({value}) as int) - 1)"


@dataclass(frozen=True)
class Draw:
    """Draws of one company. Keys are SQL expressions of integer type."""

    seed: int

    def bits(self, purpose: str, *keys: str) -> str:
        """SQL for 64 even bits (BIGINT)."""
        digest = hashlib.sha256(f"{self.seed}/{purpose}".encode()).digest()
        salt = int.from_bytes(digest[:8]) >> 2
        return f"xxhash64({salt}L, {', '.join(keys)})"

    def uniform(self, purpose: str, *keys: str) -> str:
        """SQL for a DOUBLE above 0 and below 1."""
        return f"(((({self.bits(purpose, *keys)}) & {_MANTISSA}L) + 0.5D) / {_MANTISSA + 1}D)"

    def happens(self, share: float, purpose: str, *keys: str) -> str:
        """SQL for a BOOLEAN that is true with the given chance."""
        return f"({self.uniform(purpose, *keys)} < {share!r}D)"

    def integer(self, count: int, purpose: str, *keys: str) -> str:
        """SQL for an INT from 0 to count-1."""
        return f"cast(pmod({self.bits(purpose, *keys)}, {count}L) as int)"

    def exponential(self, mean: str, purpose: str, *keys: str) -> str:
        """SQL for an exponential DOUBLE with the given mean (SQL)."""
        return f"(-ln({self.uniform(purpose, *keys)}) * ({mean}))"

    def normal(self, purpose: str, *keys: str) -> str:
        """SQL for a nearly normal DOUBLE with mean 0 and variance 1: a scaled sum of uniform draws.

        Plain arithmetic gives the same bits on every processor, which a cosine does not.
        """
        draws = [self.uniform(f"{purpose} {number}", *keys) for number in range(4)]
        return f"(1.7320508075688772D * ({' + '.join(draws)} - 2D))"

    def lognormal(self, median: float, sigma: float, purpose: str, *keys: str) -> str:
        """SQL for a lognormal DOUBLE with the given median."""
        return f"({median!r}D * exp({sigma!r}D * {self.normal(purpose, *keys)}))"

    def choice(self, values: Sequence[str], purpose: str, *keys: str) -> str:
        """SQL for one of the values, all equally likely."""
        return lookup(values, self.integer(len(values), purpose, *keys))

    def weighted(self, weights: Sequence[float], purpose: str, *keys: str) -> str:
        """SQL for an INT index drawn by weight."""
        # 1,024 steps: one array access per draw, whatever the number of weights.
        steps: list[str] = []
        total, reached = sum(weights), 0.0
        for index, weight in enumerate(weights):
            reached += weight
            steps += [str(index)] * (round(1024 * reached / total) - len(steps))
        return lookup(steps, self.integer(1024, purpose, *keys), "int")

    def second_of_day(self, hour_weights: Sequence[float], purpose: str, *keys: str) -> str:
        """SQL for an INT second of the day, by weight of the hour."""
        hour = self.weighted(hour_weights, purpose + " hour", *keys)
        return f"({hour} * 3600 + {self.integer(3600, purpose + ' second', *keys)})"
