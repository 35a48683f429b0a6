"""The few functions of SQL that DuckDB and Spark call by different names."""

from __future__ import annotations

from dataclasses import dataclass

ACCENTED = "àáâãäåāăąçćčďđèéêëēėęěğìíîïīįłľńñňòóôõöøōőŕřśšşťţùúûüūůűýÿźžż"
PLAIN = "aaaaaaaaacccddeeeeeeeegiiiiiillnnnoooooooorrsssttuuuuuuuyyzzz"


@dataclass(frozen=True)
class Dialect:
    """SQL of one engine.

    Attributes:
        spark: whether it is Spark's; else DuckDB's.
    """

    spark: bool = False

    @property
    def name(self) -> str:
        """The name that Splink knows it by."""
        return "spark" if self.spark else "duckdb"

    def substitute(self, x: str, pattern: str, by: str = "") -> str:
        """Every match of a pattern replaced; a quote in it is written twice."""
        if self.spark:
            pattern = pattern.replace("\\", "\\\\").replace("''", "\\'")
        flags = "" if self.spark else ", 'g'"
        return f"regexp_replace({x}, '{pattern}', '{by}'{flags})"

    def matches(self, x: str, pattern: str) -> str:
        """Whether a pattern is found in a text."""
        if self.spark:
            pattern = pattern.replace("\\", "\\\\")
            return f"({x} RLIKE '{pattern}')"
        return f"regexp_matches({x}, '{pattern}')"

    def group(self, x: str, pattern: str, number: int) -> str:
        """One group of the first match; an empty text where nothing matches."""
        pattern = pattern.replace("\\", "\\\\") if self.spark else pattern
        return f"regexp_extract({x}, '{pattern}', {number})"

    def winkler(self, a: str, b: str) -> str:
        """Similarity of Jaro and Winkler, 0 to 1."""
        return f"{'jaro_winkler' if self.spark else 'jaro_winkler_similarity'}({a}, {b})"

    def edits(self, a: str, b: str, most: int) -> str:
        """Whether so few edits lead from one text to the other, a transposition being one.

        To count edits is dear, so texts that cannot be near are told by cheaper means first.
        """
        near = f"{self.winkler(a, b)} >= 0.65 AND abs(length({a}) - length({b})) <= {most}"
        return f"({near} AND damerau_levenshtein({a}, {b}) <= {most})"

    def tokens(self, x: str) -> str:
        """The distinct words of a text in order."""
        if self.spark:
            return f"array_sort(array_distinct(split({x}, ' ')))"
        return f"list_sort(list_distinct(string_split({x}, ' ')))"

    def sorted_words(self, x: str) -> str:
        """A text with its words in order."""
        if self.spark:
            return f"array_join({self.tokens(x)}, ' ')"
        return f"array_to_string({self.tokens(x)}, ' ')"

    def common(self, a: str, b: str) -> str:
        """How many words two lists of words share."""
        if self.spark:
            return f"size(array_intersect({a}, {b}))"
        return f"len(list_intersect({a}, {b}))"

    def count(self, a: str) -> str:
        """How many words a list has."""
        return f"size({a})" if self.spark else f"len({a})"

    def number(self, x: str) -> str:
        """A text as a number; null where it is none."""
        return f"try_cast({x} AS DOUBLE)"

    def days(self, x: str) -> str:
        """The number of a day given as yyyymmdd; null where there is no such day."""
        day = f"try_cast(substr({x}, 1, 4) || '-' || substr({x}, 5, 2) || '-' || substr({x}, 7, 2) AS DATE)"
        if self.spark:
            return f"datediff({day}, DATE '1900-01-01')"
        return f"date_diff('day', DATE '1900-01-01', {day})"

    def hashed(self, x: str) -> str:
        """A number from a text, the same in every run and in both engines: 60 bits of MD5."""
        if self.spark:
            return f"cast(conv(substr(md5({x}), 1, 15), 16, 10) AS BIGINT)"
        return f"cast(('0x' || substr(md5({x}), 1, 15)) AS BIGINT)"

    def plain(self, x: str) -> str:
        """Lower case, without accents, blanks at the ends cut."""
        low = f"translate(lower(trim({x})), '{ACCENTED}', '{PLAIN}')"
        return f"replace(replace(replace({low}, 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe')"
