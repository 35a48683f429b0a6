"""What each kind of column means: its form, the levels on which two values agree, its keys for blocking.

A level is a condition in SQL on the values of two records, the best first; the last level of every
kind is "else". What a level is worth is learnt from the records, never stated here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from lakecdp.identity.linkage.sql import Dialect

KindName = Literal[
    "given_name",
    "surname",
    "full_name",
    "date",
    "address",
    "street_number",
    "city",
    "postcode",
    "phone",
    "partial_phone",
    "email",
    "identifier",
    "number",
    "category",
    "text",
]
KINDS: tuple[str, ...] = get_args(KindName)

EXACT, ELSE = "exact", "else"

_VOID = (
    "null", "none", "nil", "nan", "na", "n a", "unknown", "unk", "missing", "not known", "not given",
    "anonymous", "test", "-", "0",
)  # fmt: skip


@dataclass(frozen=True)
class Field:
    """A column as the linkage sees it.

    Attributes:
        name: of the column.
        kind: its kind.
        siblings: columns whose values are sometimes found in this one and the other way round.
        day_first: whether 03/04/2000 is the third of April.
    """

    name: str
    kind: str
    siblings: tuple[str, ...] = ()
    day_first: bool = True


@dataclass(frozen=True)
class Level:
    """One level of agreement.

    Attributes:
        label: its name in evidence.
        condition: SQL on `<column>_l` and `<column>_r`.
        rare: rare values weigh more (the frequency of the value counts).
    """

    label: str
    condition: str
    rare: bool = False


# The form of a value


def _words(d: Dialect, x: str) -> str:
    text = d.substitute(d.plain(x), r"[''`´’.]")
    text = d.substitute(text, r"[^\p{L}\p{N}]+", " ")
    return f"trim({text})"


def _compact(d: Dialect, x: str) -> str:
    return d.substitute(d.plain(x), r"[^\p{L}\p{N}]+")


def _digits(d: Dialect, x: str) -> str:
    return d.substitute(x, r"[^0-9]+")


def _masked(d: Dialect, x: str) -> str:
    return d.substitute(d.substitute(f"lower({x})", "[x#•·?_]", "*"), r"[^0-9*]+")


def _address(d: Dialect, x: str) -> str:
    text = f"' ' || ({_words(d, x)}) || ' '"
    for long, short in _STREETS.items():
        text = f"replace({text}, ' {long} ', ' {short} ')"
    return f"trim({text})"


_STREETS = {
    "street": "st", "road": "rd", "avenue": "ave", "drive": "dr", "lane": "ln", "place": "pl",
    "court": "ct", "crescent": "cres", "circuit": "cct", "close": "cl", "terrace": "tce",
    "boulevard": "blvd", "square": "sq", "highway": "hwy", "parade": "pde", "apartment": "apt",
}  # fmt: skip


def _date(d: Dialect, x: str, day_first: bool) -> str:
    """yyyymmdd, with 00 for what is not given; what is no date keeps its digits."""
    v = f"trim({x})"
    ymd = r"^([0-9]{4})[^0-9]+([0-9]{1,2})[^0-9]+([0-9]{1,2})"
    xxy = r"^([0-9]{1,2})[^0-9]+([0-9]{1,2})[^0-9]+([0-9]{4})"
    one, two = d.group(v, xxy, 1), d.group(v, xxy, 2)

    def pad(part: str) -> str:
        return f"lpad({part}, 2, '0')"

    a, b = (one, two) if day_first else (two, one)
    swapped = f"try_cast({b} AS INT) > 12 AND try_cast({a} AS INT) <= 12"
    year = d.group(v, xxy, 3)
    digits = _digits(d, v)
    return (
        f"CASE WHEN {d.matches(v, ymd)} THEN {d.group(v, ymd, 1)} || {pad(d.group(v, ymd, 2))}"
        f" || {pad(d.group(v, ymd, 3))}"
        f" WHEN {d.matches(v, xxy)} AND {swapped} THEN {year} || {pad(a)} || {pad(b)}"
        f" WHEN {d.matches(v, xxy)} THEN {year} || {pad(b)} || {pad(a)}"
        f" WHEN {d.matches(v, '^[0-9]{4}$')} THEN {v} || '0000'"
        f" WHEN {d.matches(digits, '^[0-9]{8}$')} AND NOT {d.matches(digits, '^(1[5-9]|20|21)')}"
        f" AND {d.matches(digits, '(1[5-9]|20|21)[0-9]{2}$')}"
        f" THEN substr({digits}, 5, 4) || substr({digits}, {3 if day_first else 1}, 2)"
        f" || substr({digits}, {1 if day_first else 3}, 2)"
        f" WHEN length({digits}) >= 6 THEN substr({digits}, 1, 8) END"
    )


def clean(d: Dialect, field: Field, x: str) -> str:
    """SQL that brings a raw text to the form in which values are compared; null when it says nothing."""
    if field.kind == "date":
        body = _date(d, x, field.day_first)
    elif field.kind == "phone":
        body = d.substitute(_digits(d, x), "^0+")
    elif field.kind == "partial_phone":
        body = _masked(d, x)
    elif field.kind == "email":
        address = d.substitute(d.plain(x), r"\s+")
        body = f"CASE WHEN {x} LIKE '%_@_%' THEN {address} END"
    elif field.kind == "number":
        body = f"CASE WHEN {d.number(x)} IS NOT NULL THEN trim({x}) END"
    elif field.kind in ("identifier", "postcode", "category", "street_number"):
        body = _compact(d, x)
    elif field.kind == "address":
        body = _address(d, x)
    else:
        body = _words(d, x)
    void = ", ".join(f"'{v}'" for v in (*_VOID, "")) if field.kind != "number" else "''"
    if field.kind == "partial_phone":
        return f"CASE WHEN {d.matches(body, '[0-9]{2}')} THEN {body} END"
    if field.kind in ("phone", "identifier"):
        void += ", " + ", ".join(f"'{c * n}'" for c in "0123456789" for n in range(3, 14))
    return f"CASE WHEN {body} NOT IN ({void}) THEN {body} END"


def derived(d: Dialect, field: Field) -> dict[str, str]:
    """Further columns that comparisons need, from the clean value: suffix to SQL."""
    x = field.name
    match field.kind:
        case "full_name" | "address" | "text":
            return {"_s": d.sorted_words(x), "_t": d.tokens(x)}
        case "email":
            return {"_s": d.group(x, "^([^@]+)@", 1)}
        case "partial_phone":
            return {"_s": d.group(x, r"([0-9]{2,4})$", 1), "_t": d.group(x, r"^([0-9]{2,})[*]", 1)}
        case "number":
            return {"_n": d.number(x)}
        case "date":
            return {"_n": d.days(x)}
    return {}


# The levels of agreement


def levels(d: Dialect, field: Field) -> list[Level]:
    """The levels of a column, best first, without "else"."""
    return _LEVELS[field.kind](d, field)


def _both(field: Field, suffix: str = "") -> tuple[str, str]:
    return f"{field.name}{suffix}_l", f"{field.name}{suffix}_r"


def _exact(field: Field, *, rare: bool = True) -> Level:
    a, b = _both(field)
    return Level(EXACT, f"{a} = {b}", rare)


def _elsewhere(field: Field) -> list[Level]:
    """The value of one record stands in another column of the other record."""
    a, b = _both(field)
    if not field.siblings:
        return []
    hits = [f"{a} = {s}_r OR {s}_l = {b}" for s in field.siblings]
    return [Level("elsewhere", " OR ".join(hits))]


def _name(d: Dialect, field: Field) -> list[Level]:
    a, b = _both(field)
    short = f"least(length({a}), length({b}))"
    begins = f"(starts_with({a}, {b}) OR starts_with({b}, {a}))".replace(
        "starts_with", "startswith" if d.spark else "starts_with"
    )
    return [
        _exact(field),
        *_elsewhere(field),
        Level("one edit", f"{short} >= 3 AND {d.edits(a, b, 1)}"),
        Level("similar", f"{d.winkler(a, b)} >= 0.9"),
        Level("begins alike", f"{begins} OR {d.winkler(a, b)} >= 0.8"),
    ]


def _full_name(d: Dialect, field: Field) -> list[Level]:
    a, b = _both(field)
    s, t = _both(field, "_s")
    u, v = _both(field, "_t")
    both = f"least({d.count(u)}, {d.count(v)})"
    return [
        _exact(field),
        Level("same words", f"{s} = {t}"),
        *_elsewhere(field),
        Level("one edit", f"{d.edits(a, b, 1)}"),
        Level("words within", f"{both} >= 2 AND {d.common(u, v)} >= {both}"),
        Level("similar", f"greatest({d.winkler(a, b)}, {d.winkler(s, t)}) >= 0.92"),
        Level("one word", f"{d.common(u, v)} >= 1 OR {d.winkler(a, b)} >= 0.85"),
    ]


def _text(d: Dialect, field: Field) -> list[Level]:
    a, b = _both(field)
    s, t = _both(field, "_s")
    u, v = _both(field, "_t")
    most = f"greatest({d.count(u)}, {d.count(v)})"
    return [
        _exact(field),
        Level("same words", f"{s} = {t}"),
        *_elsewhere(field),
        Level("few edits", f"least(length({a}), length({b})) >= 4 AND {d.edits(a, b, 2)}"),
        Level("similar", f"{d.winkler(a, b)} >= 0.92 OR {d.winkler(s, t)} >= 0.95"),
        Level("half the words", f"2 * {d.common(u, v)} >= {most} OR {d.winkler(a, b)} >= 0.85"),
    ]


def _date_levels(d: Dialect, field: Field) -> list[Level]:
    a, b = _both(field)
    n, m = _both(field, "_n")

    def part(x: str, start: int, n: int) -> str:
        return f"substr({x}, {start}, {n})"

    year = f"{part(a, 1, 4)} = {part(b, 1, 4)}"
    month = f"{part(a, 5, 2)} = {part(b, 5, 2)}"
    day = f"{part(a, 7, 2)} = {part(b, 7, 2)}"
    turned = f"{year} AND {part(a, 5, 2)} = {part(b, 7, 2)} AND {part(a, 7, 2)} = {part(b, 5, 2)}"
    return [
        _exact(field),
        Level("day and month swapped", turned),
        Level("one digit", f"{d.edits(a, b, 1)}"),
        Level("within a month", f"abs({n} - {m}) <= 31"),
        Level("two parts", f"({year} AND {month}) OR ({year} AND {day}) OR ({month} AND {day})"),
        Level("two digits", f"{d.edits(a, b, 2)}"),
        Level("within a year", f"{year} OR abs({n} - {m}) <= 366"),
        Level("within ten years", f"abs({n} - {m}) <= 3660"),
    ]


def _code(d: Dialect, field: Field) -> list[Level]:
    a, b = _both(field)
    return [
        _exact(field),
        *_elsewhere(field),
        Level("one edit", f"least(length({a}), length({b})) >= 3 AND {d.edits(a, b, 1)}"),
        Level("two edits", f"least(length({a}), length({b})) >= 6 AND {d.edits(a, b, 2)}"),
    ]


def _postcode(d: Dialect, field: Field) -> list[Level]:
    a, b = _both(field)
    return [
        _exact(field),
        Level("one edit", f"{d.edits(a, b, 1)}"),
        Level("two edits", f"least(length({a}), length({b})) >= 4 AND {d.edits(a, b, 2)}"),
        Level("area", f"substr({a}, 1, 2) = substr({b}, 1, 2)"),
    ]


def _number_levels(d: Dialect, field: Field) -> list[Level]:
    n, m = _both(field, "_n")
    a, b = _both(field)
    apart = f"abs({n} - {m})"
    size = f"greatest(abs({n}), abs({m}))"
    return [
        Level(EXACT, f"{n} = {m}", True),
        Level("near", f"{apart} <= 1 OR {apart} <= 0.02 * {size}"),
        Level("one edit", f"least(length({a}), length({b})) >= 2 AND {d.edits(a, b, 1)}"),
        Level("within a tenth", f"{apart} <= 0.1 * {size}"),
    ]


def _category(d: Dialect, field: Field) -> list[Level]:
    a, b = _both(field)
    return [
        _exact(field),
        Level("one edit", f"least(length({a}), length({b})) >= 2 AND {d.edits(a, b, 1)}"),
    ]


def _phone(d: Dialect, field: Field) -> list[Level]:
    a, b = _both(field)
    ends = f"least(length({a}), length({b})) >= 7 AND right({a}, 7) = right({b}, 7)"
    return [
        _exact(field),
        Level("same end", ends),
        *_elsewhere(field),
        Level("one edit", f"{d.edits(a, b, 1)}"),
        Level("two edits", f"{d.edits(a, b, 2)}"),
        Level("last four", f"right({a}, 4) = right({b}, 4)"),
    ]


def _partial_phone(_: Dialect, field: Field) -> list[Level]:
    tail_l, tail_r = _both(field, "_s")
    head_l, head_r = _both(field, "_t")
    a, b = _both(field)
    least = f"least(length({tail_l}), length({tail_r}))"
    tails = f"{least} >= 2 AND right({tail_l}, {least}) = right({tail_r}, {least})"
    # Where one of the two is whole, its first digits are held against the head of the other.
    heads = f"substr({a}, 1, length({head_r})) = {head_r} OR substr({b}, 1, length({head_l})) = {head_l}"
    return [
        Level(EXACT, f"{a} = {b}", True),
        Level("head and end", f"({tails}) AND ({heads})"),
        Level("end", tails),
    ]


def _email(d: Dialect, field: Field) -> list[Level]:
    a, b = _both(field)
    s, t = _both(field, "_s")
    return [
        _exact(field),
        Level("same name", f"{s} = {t}"),
        Level("few edits", f"{d.edits(a, b, 2)}"),
        # No similarity of names here: many strangers of one name have addresses that begin alike.
        Level("some edits", f"{d.edits(a, b, 4)} AND length({a}) >= 16"),
    ]


_LEVELS: Mapping[str, Callable[[Dialect, Field], list[Level]]] = {
    "given_name": _name,
    "surname": _name,
    "city": _name,
    "full_name": _full_name,
    "date": _date_levels,
    "address": _text,
    "text": _text,
    "street_number": _code,
    "identifier": _code,
    "postcode": _postcode,
    "phone": _phone,
    "partial_phone": _partial_phone,
    "email": _email,
    "number": _number_levels,
    "category": _category,
}

COMMON_ONLY = frozenset({"date", "phone", "email", "identifier", "address", "full_name", "text"})
"""Kinds whose values point to one person: that a value is common lowers its worth, that it is rare
does not raise it above that of its level."""


# The keys of blocking


def keys(d: Dialect, field: Field) -> dict[str, str]:
    """Keys of a column by which pairs may be found: name to SQL on the clean value."""
    x = field.name
    match field.kind:
        case "given_name" | "surname" | "city":
            return {"": x, "sound": _sound(d, x), "start": f"substr({x}, 1, 3)"}
        case "full_name":
            return {
                "": f"{x}_s",
                "first": d.group(x, r"^([^ ]+)", 1),
                "last": d.group(x, r"([^ ]+)$", 1),
            }
        case "address" | "text":
            return {
                "": f"{x}_s",
                "start": f"substr({x}_s, 1, 8)",
                "first": d.group(x, r"^([^ ]+)", 1),
            }
        case "date":
            return {
                "": x,
                "year_month": f"substr({x}, 1, 6)",
                "month_day": f"nullif(substr({x}, 5, 4), '0000')",
                "year_day": f"substr({x}, 1, 4) || substr({x}, 7, 2)",
            }
        case "identifier":
            half = f"cast(ceil(length({x}) / 2.0) AS INT)"
            return {
                "": x,
                "start": f"CASE WHEN length({x}) >= 5 THEN substr({x}, 1, {half}) END",
                "end": f"CASE WHEN length({x}) >= 5 THEN right({x}, {half}) END",
            }
        case "phone":
            return {"": x, "end": f"right({x}, 7)", "last4": f"right({x}, 4)"}
        case "partial_phone":
            return {"end": f"right({x}_s, 4)"}
        case "email":
            return {"": x, "name": f"{x}_s"}
        case "postcode":
            return {"": x, "area": f"substr({x}, 1, 3)"}
    return {"": x}


def _sound(d: Dialect, x: str) -> str:
    """The first letter and the consonants that follow, doubled ones once, six in all."""
    low = x
    rest = d.substitute(f"substr({low}, 2)", "[aeiouyhw ]+")
    for pair in "bcdfgklmnprstz":
        rest = f"replace({rest}, '{pair}{pair}', '{pair}')"
    return f"substr(substr({low}, 1, 1) || {rest}, 1, 6)"
