"""Invented persons with mistakes in their records, and the truth about them."""

from __future__ import annotations

import random

import pandas as pd

GIVEN = [
    "anna",
    "bert",
    "clara",
    "david",
    "emma",
    "felix",
    "greta",
    "hugo",
    "ida",
    "jonas",
    "karla",
    "leo",
    "mara",
    "nils",
    "olga",
    "paul",
]
ENDS = ["mann", "berg", "feld", "stein", "hoff", "bach", "wald", "dorf"]
HEADS = [
    "acker",
    "birn",
    "claus",
    "dorn",
    "ebel",
    "frank",
    "grim",
    "hart",
    "iser",
    "jung",
    "kalt",
    "lang",
    "mohr",
    "neu",
    "ost",
    "pfeil",
]
TOWNS = ["altona", "bergdorf", "celle", "dessau", "eutin", "fulda", "gera", "husum"]


def persons(count: int, seed: int = 3) -> list[dict[str, str]]:
    """Persons without mistakes."""
    dice = random.Random(seed)
    return [
        {
            "name": dice.choice(GIVEN),
            "surname": dice.choice(HEADS) + dice.choice(ENDS),
            "birthday": f"{dice.randint(1940, 2005)}-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}",
            "city": dice.choice(TOWNS),
            "phone": f"0{dice.randint(10**8, 10**9 - 1)}",
            "person": str(i),
        }
        for i in range(count)
    ]


def mistaken(person: dict[str, str], dice: random.Random) -> dict[str, str]:
    """The same person, written down by somebody in a hurry."""
    row = dict(person)
    text = row["surname"]
    i = dice.randrange(len(text) - 1)
    row["surname"] = text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    if dice.random() < 0.3:
        row["name"], row["surname"] = row["surname"], row["name"]
    if dice.random() < 0.3:
        row["city"] = ""
    if dice.random() < 0.5:
        year, month, day = row["birthday"].split("-")
        row["birthday"] = f"{year}-{day}-{month}" if int(day) <= 12 else f"{year}-{month}-01"
    row["phone"] = (
        row["phone"][:3] + "****" + row["phone"][-4:] if dice.random() < 0.4 else row["phone"]
    )
    return row


def two_files(count: int = 400, seed: int = 3) -> pd.DataFrame:
    """Two sources, each free of duplicates; two thirds of the persons are in both."""
    dice = random.Random(seed)
    every = persons(count, seed)
    rows = [{**p, "source": "one"} for p in every]
    rows += [{**mistaken(p, dice), "source": "two"} for p in every[: 2 * count // 3]]
    return pd.DataFrame(rows)
