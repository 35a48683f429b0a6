"""How accuracy is counted, on identifiers few enough to count pairs by hand."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pandas as pd
import yaml
from benchmarks.identity_accuracy import accuracy, delivered, judged, without_guards

ROOT = Path(__file__).parents[2]


def test_pairs_are_those_counted_by_hand() -> None:
    found = pd.DataFrame(
        [
            # Person 1: four identifiers, three of them in customer 7; the records lead to all but one.
            ("member_id", 1, 7, 0),
            ("phone", 1, 7, 0),
            ("email", 1, 7, 0),
            ("cookie", 1, 8, 1),
            # Person 2: the phone has gone to customer 7.
            ("member_id", 2, 9, 2),
            ("phone", 2, 7, 2),
        ],
        columns=["type", "person", "customer", "group"],
    )
    every = accuracy(found)["all"]
    # 6 and 1 true pairs; 3 and 1 linkable; the four in customer 7 make 6 pairs, 3 of person 1.
    assert (every.true, every.linkable, every.linked, every.right) == (7, 4, 6, 3)
    assert (every.precision, every.recall, every.recall_of_linkable) == (0.5, 3 / 7, 0.75)
    cookie = accuracy(found)["cookie"]
    assert (cookie.true, cookie.linkable, cookie.linked, cookie.right) == (3, 0, 0, 0)
    phone = accuracy(found)["phone"]
    # True: three of person 1 and one of person 2. Linked: those with either phone in customer 7.
    assert (phone.true, phone.linked, phone.right) == (4, 5, 2)


def write(folder: Path, source: str, text: str, ending: str) -> None:
    place = folder / source / "2026-01-01"
    place.mkdir(parents=True)
    (place / f"part-00000.{ending}").write_text(text, encoding="utf-8")


def test_files_and_truth_are_read_as_they_are(tmp_path: Path) -> None:
    landing, truth = tmp_path / "landing", tmp_path / "truth"
    device = "AB-1"
    app = [
        {"login_id": "M1", "properties": {"$device_id": device}},
        {"login_id": "M2", "properties": {"$device_id": "lent"}},
        {"properties": {"$device_id": device, "phone": "+86 139-0000-0001"}},
    ]
    lines = [*(json.dumps(row) for row in app), '{"login_id": "M9", "properties": {"$dev']
    write(landing, "app_events", "\n".join(lines) + "\n", "json")
    web = {"cookie_id": "ck1", "member_id": None, "email": " A@X.com", "phone": None}
    write(landing, "web_events", json.dumps(web) + "\n", "json")
    write(landing, "pos", "member_card,phone\n,86 13900000001\nM2,\n", "csv")
    head = "member_id,name,phone,email,device_id\n"
    crm = 'M1,"a ""b"", c",139-0000-0002,a@x.com,\nM1,short\n'
    write(landing, "crm", head + crm, "csv")
    records = delivered(landing)
    assert set(zip(records["type"], records["value"], strict=True)) == {
        ("member_id", "M1"),
        ("member_id", "M2"),
        ("device_id", "ab-1"),
        ("device_id", "lent"),
        ("phone", "+8613900000001"),
        ("phone", "+8613900000002"),
        ("email", "a@x.com"),
        ("cookie", "ck1"),
    }
    own = [
        *((1, "member_id", "M1"), (1, "device_id", device), (1, "phone", "+8613900000001")),
        *((1, "phone", "+8613900000002"), (1, "email", "a@x.com"), (1, "cookie", "ck1")),
        *((1, "cookie", "never seen"), (2, "member_id", "M2"), (2, "device_id", "lent")),
    ]
    tables = {
        "person_identifier": pd.DataFrame(own, columns=["person_id", "type", "value"]),
        "borrowed/delivery=0": pd.DataFrame({"value": ["lent"]}),
        "nobody": pd.DataFrame({"value": ["null"]}),
    }
    for name, frame in tables.items():
        (truth / name).mkdir(parents=True)
        duckdb.sql(f"COPY frame TO '{truth / name / 'part.parquet'}'")
        assert len(frame)
    big = 2**62
    linked = pd.DataFrame(
        [
            *(
                ("member_id", "M1", big),
                ("phone", "+8613900000002", big),
                ("cookie", "ck1", big + 1),
            ),
            *(("email", "a@x.com", big), ("device_id", "ab-1", big), ("member_id", "M2", 5)),
        ],
        columns=["type", "value", "customer"],
    )
    every = accuracy(judged(landing, truth, linked))["all"]
    # Six identifiers of person 1, all in one chain; four of them linked; nothing else makes a pair.
    assert (every.true, every.linkable, every.linked, every.right) == (15, 15, 6, 6)


def test_rules_without_guards_keep_types_and_formats(tmp_path: Path) -> None:
    file = ROOT / "conf" / "identity.yaml"
    bare = yaml.safe_load((without_guards(tmp_path, file) / "identity.yaml").read_text())
    whole = yaml.safe_load(file.read_text())
    assert set(bare) == {"types"}
    assert bare["types"].keys() == whole["types"].keys()
    assert {key for kind in bare["types"].values() for key in kind} <= {"priority", "of", "format"}
