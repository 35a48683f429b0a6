"""The kind of a column, told from its name and its values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pandas as pd

_NAMES: tuple[tuple[str, str], ...] = (
    (r"(e_?mail|mail)", "email"),
    (r"(mobile|phone|tel|telephone|cell|fax)", "phone"),
    (r"(dob|birth_?da(y|te)|date_?of_?birth|born|bday|birthday|birthdate)", "date"),
    (r"(post_?code|postal|zip|plz)", "postcode"),
    (r"(given|first|fore|fname|christian|middle)_?(name)?\d?|(fname|mname|vorname|prenom)\w*", "given_name"),
    (r"(sur|last|family|second|maiden)_?(name)?\d?|(lname|surname|nachname)\w*", "surname"),
    (r"(full|person|customer|patient|client|contact)?_?name", "full_name"),
    (r"(street|house|building|flat|unit)_?(no|num|number|nr)\d?", "street_number"),
    (r"(address|addr|street|strasse|road)_?(line)?_?\d?|address\w*", "address"),
    (r"(city|town|suburb|locality|village|place|birth_?place|ort|municipality)", "city"),
    (r"(nationality|state|province|county|region|country|gender|sex|title)", "category"),
    (r"(occupation|race|ethnicity|marital\w*)", "category"),
    (r"(ssn|soc_?sec\w*|social_?security\w*|nhs\w*|passport\w*|nino|tax\w*)", "identifier"),
    (r"(licen[cs]e\w*|national\w*|insurance\w*|medicare\w*|id_?(card|number|no))", "identifier"),
    (r"(age|height|weight|income|amount|price|year|month|day|by|bm|bd|birth_?(year|month|day))", "number"),
)  # fmt: skip

_KEY = re.compile(
    r"(unique_?id|rec(ord)?_?id|id|row_?(id|num|number)|index|uid|key|source_?dataset)"
)
_DATE = re.compile(r"\s*(\d{4}\D\d{1,2}\D\d{1,2}|\d{1,2}\D\d{1,2}\D\d{4}|(1[89]|20)\d{6})\b")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"\+?[\d\s().\-/]{7,18}")
_MASKED = re.compile(r"\+?[\dxX*#•\s\-]*[*#•xX]{2,}[\dxX*#•\s\-]*")


def safe(name: str) -> str:
    """A column name as SQL and YAML take it."""
    out = re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")
    return out if re.match(r"[a-z]", out) else f"c_{out}"


def infer(table: pd.DataFrame, ignore: Sequence[str] = ()) -> Mapping[str, str]:
    """Kinds of the columns that can help to tell people apart.

    Args:
        table: texts, one column per attribute.
        ignore: columns to leave out.

    Returns:
        column to kind, in the order of the table; keys of rows and empty columns are left out.
    """
    out: dict[str, str] = {}
    for name in table.columns:
        if name in ignore:
            continue
        kind = _kind(str(name), table[name])
        if kind:
            out[str(name)] = kind
    return out


def _kind(name: str, values: pd.Series) -> str | None:
    said = values.dropna().astype(str).str.strip()
    said = said[said != ""]
    few = said.iloc[:: max(1, len(said) // 2000)]
    if len(few) == 0 or said.nunique() < 2:
        return None
    named = _by_name(safe(name))
    seen = _by_values(few)
    if named == "key" or (named is None and _row_key(said, seen)):
        return None
    if named == "phone" and seen == "partial_phone":
        return seen
    if named in ("number", "date") and seen is not None and seen != named:
        # A year, month or day in a column of its own; or a date under the name of a number.
        return "date" if seen == "date" else named
    if named == "given_name" or named == "surname" or named == "full_name":
        return named
    return named or seen or _by_spread(said)


def _by_name(name: str) -> str | None:
    if _KEY.fullmatch(name):
        return "key"
    words = name.split("_")
    for pattern, kind in _NAMES:
        if re.fullmatch(pattern, name):
            return kind
    for pattern, kind in _NAMES:
        if any(re.fullmatch(pattern, w) for w in words) or re.search(rf"(^|_){pattern}($|_)", name):
            return kind
    return None


def _by_values(few: pd.Series) -> str | None:
    def share(pattern: re.Pattern[str]) -> float:
        return float(few.map(lambda v: bool(pattern.fullmatch(v))).mean())

    if share(_EMAIL) > 0.6:
        return "email"
    if float(few.map(lambda v: bool(_DATE.match(v))).mean()) > 0.7:
        return "date"
    if share(_MASKED) > 0.5:
        return "partial_phone"
    numeric = float(few.map(lambda v: bool(re.fullmatch(r"-?\d+(\.\d+)?", v))).mean())
    if numeric > 0.9:
        long = few.str.len().median() >= 7
        return "identifier" if long else "number"
    if share(_PHONE) > 0.7:
        return "phone"
    return None


def _row_key(values: pd.Series, seen: str | None) -> bool:
    """A number or code that no two rows share says nothing of persons."""
    return values.is_unique and seen in (None, "number", "identifier") and not _wordy(values)


def _wordy(values: pd.Series) -> bool:
    few = values.iloc[:: max(1, len(values) // 500)]
    return float(few.str.contains(r"[^\W\d_]{2,}\W+[^\W\d_]{2,}").mean()) > 0.5


def _by_spread(values: pd.Series) -> str:
    if values.nunique() <= 60 and values.nunique() < 0.2 * len(values):
        return "category"
    return "text" if _wordy(values) else "city"
