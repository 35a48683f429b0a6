"""Normal forms, junk and keyed hashes of identifiers."""

from __future__ import annotations

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat as Form
from phonenumbers import PhoneNumberType as Kind
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakecdp.governance.identifiers import (
    IdentityRules,
    clear_values,
    identifiers,
    is_junk,
    node_of,
    normalise,
)
from lakecdp.governance.phone import e164
from lakecdp.platform.errors import UsageError
from lakecdp.platform.settings import Conf

REGIONS = ["DE", "GB", "US", "CN", "FR", "IT", "BR", "IN", "JP", "AR", "RU", "AU"]
REFUSED = ["12", "abc", "0000000", "", "+", "call me 0301234567", "1234567890123456789", "1.5e10"]


def written(home: str) -> dict[str, str | None]:
    """Example numbers in the ways people write them, with the answer of phonenumbers itself."""
    out: dict[str, str | None] = dict.fromkeys(REFUSED)
    for region in {home, "DE", "US", "CN", "GB"}:
        for kind in (Kind.MOBILE, Kind.FIXED_LINE):
            number = phonenumbers.example_number_for_type(region, kind)
            right = phonenumbers.format_number(number, Form.E164)
            for form in (Form.E164, Form.INTERNATIONAL, Form.RFC3966):
                out[phonenumbers.format_number(number, form)] = right
            out[phonenumbers.format_out_of_country_calling_number(number, home)] = right
            if region == home:
                out[right[1:]] = right
                out[f"  {phonenumbers.format_number(number, Form.NATIONAL)} ext. 12"] = right
    return out


def test_phones_are_those_of_phonenumbers(spark: SparkSession) -> None:
    cases = {region: written(region) for region in REGIONS}
    rows = [(r, text) for r, texts in cases.items() for text in texts]
    answer = F.lit(None).cast("string")
    for region in REGIONS:
        value = e164(F.trim("text"), region)
        answer = F.when(F.col("region") == region, value).otherwise(answer)
    found = spark.createDataFrame(rows, "region STRING, text STRING").withColumn("e164", answer)
    wrong = [tuple(r) for r in found.collect() if r["e164"] != cases[r["region"]][r["text"]]]
    assert wrong == []
    with pytest.raises(UsageError, match="'XX' is no country"):
        e164(F.col("text"), "XX")


def test_identifiers_of_a_record(spark: SparkSession) -> None:
    rules = IdentityRules.load(Conf())
    rows = [
        (" M1\u00a0", "A.b@Shop.DE ", "(030) 123456", "NULL", ""),
        (None, "a@b", "12", "00000000-0000-0000-0000-000000000000", "GA1.2"),
        ("Anonymous", "test@mail.com", "+86 138 0013 8000", "ABC-1", "null"),
        ("000000", "x@y.co, z@y.co", None, "9774D56D682E549C", "-1"),
        ("Ｍ１　", "Ａ．ｂ＠Ｓｈｏｐ．ＤＥ", "（０３０）　１２３４５６", "ＡＢＣ－２", "会员１"),
    ]
    frame = spark.createDataFrame(rows, "m STRING, e STRING, p STRING, d STRING, c STRING")
    columns = {
        "cookie": F.col("c"),
        "device_id": F.col("d"),
        "phone": F.col("p"),
        "email": F.col("e"),
        "member_id": F.col("m"),
    }
    found = frame.select(
        identifiers(columns, rules, "k", "DE").alias("ids"),
        clear_values(columns, rules, "k", "DE").alias("clear"),
        normalise("phone", F.col("p"), rules, None).alias("anywhere"),
        is_junk("device_id", normalise("device_id", F.col("d"), rules, None), rules).alias("junk"),
    ).collect()
    values = [[(v["type"], v["value"]) for v in r["clear"]] for r in found]
    assert values == [
        [("member_id", "M1"), ("phone", "+4930123456"), ("email", "a.b@shop.de")],
        [("cookie", "GA1.2")],
        [("device_id", "abc-1")],
        [],
        # Full-width forms are those of the first record; Chinese stays as it is.
        [
            ("member_id", "M1"),
            ("phone", "+4930123456"),
            ("email", "a.b@shop.de"),
            ("device_id", "abc-2"),
            ("cookie", "会员1"),
        ],
    ]
    for row, clear in zip(found, values, strict=True):
        assert [tuple(i) for i in row["ids"]] == [(t, node_of(t, v, "k")) for t, v in clear]
    assert [r["anywhere"] for r in found] == [
        "030123456",
        None,
        "+8613800138000",
        None,
        "030123456",
    ]
    assert [r["junk"] for r in found] == [True, True, False, True, False]
    with pytest.raises(UsageError, match="no identifier type `fax`"):
        identifiers({"fax": F.col("p")}, rules, "k", "DE")
