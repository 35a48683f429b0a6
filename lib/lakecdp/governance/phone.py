"""Phone numbers in E.164, as one Spark SQL expression made from the metadata of `phonenumbers`.

Every step reads the step before it once, so that the expression stays small however many types of
identifiers a record has: a condition on an earlier step would copy all of it into the plan.
"""

from __future__ import annotations

import re
from typing import Any

import phonenumbers
from pyspark.sql import Column
from pyspark.sql import functions as F

from lakecdp.platform.errors import UsageError

_SEPARATORS = r" ./()~\u2010-\u2015\u00a0\-"
_WRITTEN = rf"^(?=[+({_SEPARATORS}0-9]*$)(?:[^0-9]*[0-9]){{5,20}}[^0-9]*$"
_DECORATION = r"(?i)^tel:|\(0\)|[;,]? *(?:extension|ext|x|#)[.:= ]*[0-9]{1,7}$"
# ITU-T E.164: at most 15 digits with the country code.
_LENGTH = "(?=[0-9]{7,15}$)"


def keep(text: Column, pattern: str) -> Column:
    """The text where it matches the pattern from end to end, else null; it is read only once."""
    found = F.regexp_extract_all(text, F.lit(f"(?s)^(?:{pattern})$"), F.lit(0))
    return F.try_element_at(found, F.lit(1))


def e164(text: Column, region: str | None) -> Column:
    """Numbers as `+` and digits, null where the text is no phone number.

    A number with `+`, or with the region's international prefix, keeps its country; others belong
    to `region`. Numbers of the region must match its numbering plan; those of other countries must
    begin with a country code in use and have 7 to 15 digits.

    Args:
        text: the number as written, trimmed.
        region: ISO 3166 alpha-2 code of the country of numbers without a prefix; with None these
            keep their digits, so that equal numbers still meet.

    Raises:
        UsageError: an unknown region.
    """
    codes = "|".join(sorted(str(c) for c in phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
    narrow = F.translate(text, "０１２３４５６７８９＋", "0123456789+")
    written = keep(F.regexp_replace(narrow, _DECORATION, ""), _WRITTEN)
    number = F.regexp_replace(written, r"(?!^)\+|[^0-9+]", "")
    if region is None:
        number = F.regexp_replace(number, "^00", "+")
        return keep(number, rf"\+{_LENGTH}(?:{codes})[0-9]+|{_LENGTH}[0-9]+")
    meta = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    if meta is None:
        raise UsageError(f"`phone_region`: {region!r} is no country with phone numbers.")
    return _of_region(number, meta, codes)


def _of_region(number: Column, meta: Any, codes: str) -> Column:
    code = str(meta.country_code)
    plan = f"(?:{_compact(meta.general_desc.national_number_pattern)})"
    trunk = _compact(meta.national_prefix_for_parsing or "")
    silent = re.sub(r"\((?!\?)", "(?:", trunk)
    strip = f"(?:{silent})?" if trunk else ""
    number = F.regexp_replace(number, f"^(?:{_compact(meta.international_prefix or '00')})", "+")
    number = _recognised(number, code, strip, plan)
    if meta.national_prefix_transform_rule:
        rule = re.sub(r"\\(\d)", lambda m: f"${int(m[1]) + 1}", meta.national_prefix_transform_rule)
        wrong = rf"^(?!\+{code}{plan}$|\+(?!{code}))(\+{code})?(?:{trunk})"
        number = F.regexp_replace(number, wrong, f"$1{rule}")
        number = _recognised(number, code, strip, plan)
    # Some countries share a code (+1, +44, +7): the plan of one of them does not cover the others.
    alone = len(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[meta.country_code]) == 1
    other = f"(?!{code})" if alone else ""
    return keep(number, rf"\+{code}{plan}|\+{other}{_LENGTH}(?:{codes})[0-9]+")


def _recognised(number: Column, code: str, strip: str, plan: str) -> Column:
    """`+code` before a number of the plan, whether written with code, with trunk prefix or bare."""
    for start in (rf"\+{code}", code, ""):
        number = F.regexp_replace(number, f"^{start}{strip}({plan})$", f"+{code}$1")
    return number


def _compact(pattern: str) -> str:
    return re.sub(r"\s+", "", pattern)
