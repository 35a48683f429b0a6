"""The persons of the company, with everything that is latent about them."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.simulator import catalogue
from lakecdp.simulator.randomness import lookup
from lakecdp.simulator.world import World, add

NEVER = 1_000_000
"""A day that no run reaches."""


def persons(spark: SparkSession, world: World) -> DataFrame:
    """One row per person who exists by the last day asked for.

    Days are INT counted from the first day of the period and may be negative:

    - pid BIGINT, entry (first contact), churn (nothing happens after it; NEVER for loyal ones)
    - member BOOLEAN, reg (day of the member account, NEVER for guests), reg_ms BIGINT (the moment,
      in ms since the first local midnight), reg_channel app | web | store
    - phone_change (from this day on the second number is in use, NEVER if there is none)
    - visit_rate DOUBLE (visits per day), buyer BOOLEAN, cycle and phase DOUBLE (days)
    - app_share, web_share DOUBLE (shares of planned purchases; the rest is in stores)
    - favourite, second INT (category numbers), devices, cookies INT, city INT, ip STRING
    - other BIGINT (the person of the same household, NULL for those who live alone), home BIGINT
      (the smaller number of the two) and, with the prefix other_, the history of the other one
    - sensitivity DOUBLE (to prices, 0 to 1), prefers INT (push, sms or email)
    - guest_phone INT (version of the phone before the member account)
    """
    people, behaviour, draw = world.settings.people, world.settings.behaviour, world.draw
    frame = spark.range(0, world.person_count, 1, world.slices).withColumnRenamed("id", "pid")
    living = draw.happens(world.settings.identifiers.household_share, "household", "(pid div 2L)")
    frame = add(frame, other=f"if({living}, pid + 1L - 2L * (pid % 2L), null)")
    frame = add(
        _history(_history(frame, world, "pid", ""), world, "other", "other_"),
        style=draw.uniform("style", "pid"),
        favourite=draw.integer(world.settings.catalogue.categories, "favourite", "pid"),
        second=draw.integer(world.settings.catalogue.categories, "second", "pid"),
        home="least(pid, coalesce(other, pid))",
        sensitivity=draw.uniform("price sensitivity", "pid"),
        prefers=draw.integer(3, "preferred message", "pid"),
    )
    change = f"greatest(entry, 0) + 1 + cast(least({NEVER // 2}D, " + (
        draw.exponential(repr(365.0 / people.phone_changes_per_year), "phone change", "pid")
        if people.phone_changes_per_year > 0
        else f"{NEVER}D"
    )
    web_style = people.app_led_share + people.web_led_share
    cycle = draw.lognormal(behaviour.cycle_days, behaviour.cycle_spread, "cycle", "pid")
    cookie = draw.uniform("cookies", "pid")
    octets = [draw.integer(254, f"ip {octet}", "home") for octet in "cd"]
    network = draw.choice(catalogue.HOME_NETWORKS, "ip ab", "home")
    frame = add(
        frame,
        city=draw.weighted([weight for *_, weight in catalogue.CITIES], "city", "home"),
        phone_change=f"{change}) as int)",
        visit_rate=draw.lognormal(
            behaviour.visits_per_day, behaviour.visits_spread, "visit rate", "pid"
        ),
        buyer=draw.happens(behaviour.buyer_share, "buyer", "pid"),
        cycle=f"greatest(4D, least(365D, {cycle}))",
        app_share=f"case when style < {people.app_led_share!r}D then 0.75D "
        f"when style < {web_style!r}D then 0.1D else 0.15D end",
        web_share=f"case when style < {people.app_led_share!r}D then 0.12D "
        f"when style < {web_style!r}D then 0.75D else 0.15D end",
        devices=f"1 + cast({draw.happens(people.second_device_share, 'devices', 'pid')} as int)",
        cookies=f"1 + cast({cookie} < {people.second_cookie_share!r}D as int) "
        f"+ cast({cookie} < {people.second_cookie_share / 2!r}D as int)",
        ip=f"concat({network}, '.', 1 + {octets[0]}, '.', 1 + {octets[1]})",
        guest_phone=f"if(member and "
        f"{draw.happens(world.settings.identifiers.other_phone_share, 'other phone', 'pid')}, 2, 0)",
    )
    reg_channel = f"case when style < {people.app_led_share!r}D then 'app' "
    reg_channel += f"when style < {web_style!r}D then 'web' else 'store' end"
    return add(
        frame,
        reg_channel=reg_channel,
        phone_change=f"if(phone_change < churn, phone_change, {NEVER})",
        phase=f"{draw.uniform('phase', 'pid')} * cycle",
    )


def _history(frame: DataFrame, world: World, key: str, prefix: str) -> DataFrame:
    """Adds when a person comes, opens an account and goes, for the person with a number."""
    people, draw = world.settings.people, world.draw
    newcomers = max(1, world.newcomers)
    arrival = f"({key} - {world.earlier}) * {world.settings.days} div {newcomers}"
    earlier = f"-1 - {draw.integer(people.history_days, 'first contact', key)}"
    frame = add(
        frame,
        **{f"{prefix}entry": f"cast(if({key} < {world.earlier}, {earlier}, {arrival}) as int)"},
    )
    # The exponential has no memory: for earlier customers it starts again on the first day.
    lifetime = draw.exponential(repr(1.0 / people.churn_hazard), "lifetime", key)
    ends = f"greatest({prefix}entry, 0) + 1 + cast(least({lifetime}, {NEVER // 2}D) as int)"
    loyal = draw.happens(people.loyal_share, "loyal", key)
    wait = draw.exponential(repr(people.days_to_register), "wait to register", key)
    frame = add(
        frame,
        **{
            f"{prefix}churn": f"if({loyal}, {NEVER}, {ends})",
            f"{prefix}reg": f"{prefix}entry + cast({wait} as int)",
        },
    )
    hours = world.settings.behaviour.hour_weights
    second = draw.second_of_day(hours, "registration", key)
    member = draw.happens(people.member_share, "member", key)
    frame = add(
        frame,
        **{
            f"{prefix}member": f"{member} and {prefix}reg < {prefix}churn",
            f"{prefix}reg_second": f"greatest(120, {second})",
        },
    )
    moment = f"({prefix}reg * 86400L + {prefix}reg_second) * 1000L"
    never = f"{NEVER}L * 86400000L"
    return add(
        frame,
        **{
            f"{prefix}reg_ms": f"if({prefix}member, {moment}, {never})",
            f"{prefix}reg": f"if({prefix}member, {prefix}reg, {NEVER})",
        },
    )


def portrait(frame: DataFrame, world: World) -> DataFrame:
    """The frame with gender F | M, birthday DATE, name and e-mail STRING of its persons (pid)."""
    draw = world.draw
    surname = draw.integer(len(catalogue.SURNAMES), "surname", "pid")
    given = draw.integer(len(catalogue.FEMALE_NAMES), "given name", "pid")
    female = draw.happens(world.settings.people.female_share, "gender", "pid")

    def part(values: tuple[str, ...], index: str, side: int) -> str:
        return lookup([value.split(":")[side] for value in values], index)

    def named(side: int) -> str:
        women = part(catalogue.FEMALE_NAMES, given, side)
        men = part(catalogue.MALE_NAMES, given, side)
        return f"if({female}, {women}, {men})"

    age = f"(18 + 47 * power({draw.uniform('age', 'pid')}, 1.4D))"
    return add(
        frame,
        gender=f"if({female}, 'F', 'M')",
        birthday=world.date_sql(f"(-365.25D * {age})"),
        name=f"concat({part(catalogue.SURNAMES, surname, 0)}, {named(0)})",
        email=f"concat({named(1)}, '.', {part(catalogue.SURNAMES, surname, 1)}, 10 + pid, '@', "
        f"{draw.choice(catalogue.MAIL_HOSTS, 'mail host', 'pid')})",
    )


def member_id(owner: str = "pid") -> str:
    """SQL for the member id of a person."""
    return f"concat('M', cast(100000000L + {owner} as string))"


def phone(version: str, owner: str = "pid") -> str:
    """SQL for a person's phone number as eleven digits: version 0, 1 later, or 2 before all that.

    Nine digits are a permutation of the number of the phone, so no two persons share one.
    """
    number = f"({owner} * 3L + {version})"
    digits = f"lpad(cast(pmod({number} * 618033989L, 1000000000L) as string), 9, '0')"
    return f"concat(if(pmod({number}, 5) < 2, '18', '13'), {digits})"


def phone_at(day: str) -> str:
    """SQL for the phone number that a person names on a day."""
    return phone(f"if({day} < reg and guest_phone = 2, 2, if({day} >= phone_change, 1, 0))")


def spelled_phone(world: World, number: str, *keys: str) -> str:
    """SQL for a phone number as people and tills write it."""
    style = world.draw.integer(5, "phone spelling", *keys)
    spaced = f"concat(substr({number}, 1, 3), '-', substr({number}, 4, 4), '-'"
    spaced += f", substr({number}, 8))"
    odd = f"""case {style}
        when 0 then concat('+86', {number})
        when 1 then concat('+86 ', replace({spaced}, '-', ' '))
        when 2 then {spaced}
        when 3 then concat('86', {number})
        else concat(' ', {number}) end"""
    flaws = world.settings.flaws
    return (
        f"if({world.draw.happens(flaws.odd_spelling_share, 'odd phone', *keys)}, {odd}, {number})"
    )


def spelled_email(world: World, address: str, *keys: str) -> str:
    """SQL for an e-mail address as people type it."""
    style = world.draw.integer(3, "e-mail spelling", *keys)
    odd = f"case {style} when 0 then upper({address}) when 1 then initcap({address}) "
    odd += f"else concat({address}, ' ') end"
    flaws = world.settings.flaws
    return (
        f"if({world.draw.happens(flaws.odd_spelling_share, 'odd e-mail', *keys)}, {odd}, {address})"
    )


def device_spec(world: World, device: str, owner: str = "pid") -> str:
    """SQL for the row number in the catalogue of devices of a person's device (0 or 1)."""
    return world.draw.weighted([weight for *_, weight in catalogue.DEVICES], "model", owner, device)


def device_id(world: World, device: str, owner: str = "pid") -> str:
    """SQL for the id of a person's device (0 or 1): a UUID on iOS, 16 hex digits elsewhere."""
    left = f"lpad(hex({world.draw.bits('device a', owner, device)}), 16, '0')"
    right = f"lpad(hex({world.draw.bits('device b', owner, device)}), 16, '0')"
    uuid = f"concat(substr({left}, 1, 8), '-', substr({left}, 9, 4), '-', substr({left}, 13, 4), "
    uuid += f"'-', substr({right}, 1, 4), '-', substr({right}, 5, 12))"
    apple = lookup(
        [str(system == "iOS").lower() for system, *_ in catalogue.DEVICES],
        device_spec(world, device, owner),
    )
    return f"if({apple} = 'true', {uuid}, lower({left}))"


def cookie_id(world: World, cookie: str, owner: str = "pid") -> str:
    """SQL for the id of a person's browser cookie (0 to 2)."""
    return f"concat('ck', lower(lpad(hex({world.draw.bits('cookie', owner, cookie)}), 16, '0')))"


def truth_person(spark: SparkSession, world: World) -> DataFrame:
    """One row per person: the latent parameters, with dates.

    person_id BIGINT, entered_on DATE, churned_on DATE (NULL for loyal persons; may lie after the
    last day written; nothing happens after it), registered_on DATE (NULL for guests and those who
    never come to it), the portrait, the rates of `persons`, and household BIGINT (the same for the
    two who live together, NULL for the others).
    """
    frame = portrait(persons(spark, world), world)
    cities = [city for city, *_ in catalogue.CITIES]
    provinces = [province for _, province, _ in catalogue.CITIES]
    codes = [category.code for category in world.categories]
    return frame.select(
        F.col("pid").alias("person_id"),
        F.expr(world.date_sql("entry")).alias("entered_on"),
        F.expr(f"if(churn < {NEVER}, {world.date_sql('churn')}, null)").alias("churned_on"),
        F.expr(f"if(reg <= {world.last}, {world.date_sql('reg')}, null)").alias("registered_on"),
        F.expr(f"if(phone_change <= {world.last}, {world.date_sql('phone_change')}, null)").alias(
            "phone_changed_on"
        ),
        *("name", "gender", "birthday"),
        F.expr(lookup(cities, "city")).alias("city"),
        F.expr(lookup(provinces, "city")).alias("province"),
        *("visit_rate", "buyer"),
        F.expr("if(buyer, cycle, null)").alias("cycle_days"),
        F.expr(
            "case when app_share > 0.5 then 'app' when web_share > 0.5 then 'web' else 'store' end"
        ).alias("main_channel"),
        F.expr(lookup(codes, "favourite")).alias("favourite_category"),
        F.expr(lookup(codes, "second")).alias("second_category"),
        F.expr("if(other is null, null, home div 2)").alias("household"),
        F.col("sensitivity").alias("price_sensitivity"),
        F.expr(lookup(["push", "sms", "email"], "prefers")).alias("preferred_message"),
    )


def truth_identifier(spark: SparkSession, world: World) -> DataFrame:
    """One row per identifier of a person.

    person_id BIGINT, type member_id | phone | email | device_id | cookie, value STRING (normalised:
    E.164 phones, lower-case e-mails, other ids as they are), valid_from DATE, valid_to DATE (the
    first day on which it is no longer the person's, NULL while it is).
    """
    frame = portrait(persons(spark, world), world)
    row = "struct({kind} as type, {value} as value, {start} as start, {end} as end)"
    entries = [
        (
            f"not (guest_phone = 2 and reg > {world.last})",
            "'phone'",
            f"concat('+86', {phone('0')})",
            "if(guest_phone = 2, greatest(entry, reg), entry)",
            "greatest(phone_change, if(guest_phone = 2, reg, phone_change))",
        ),
        ("guest_phone = 2", "'phone'", f"concat('+86', {phone('2')})", "entry", "reg"),
        (
            f"phone_change <= {world.last}",
            "'phone'",
            f"concat('+86', {phone('1')})",
            "phone_change",
            str(NEVER),
        ),
        ("true", "'email'", "lower(email)", "entry", str(NEVER)),
        (f"reg <= {world.last}", "'member_id'", member_id(), "reg", str(NEVER)),
    ]
    for device in "01":
        value = device_id(world, device)
        entries.append((f"devices > {device}", "'device_id'", value, "entry", str(NEVER)))
    for cookie in "012":
        value = cookie_id(world, cookie)
        entries.append((f"cookies > {cookie}", "'cookie'", value, "entry", str(NEVER)))
    structs = [
        f"if({when}, {row.format(kind=kind, value=value, start=start, end=end)}, null)"
        for when, kind, value, start, end in entries
    ]
    frame = frame.select(
        F.col("pid").alias("person_id"),
        F.explode(F.expr(f"array_compact(array({', '.join(structs)}))")).alias("known"),
    )
    until = f"if(known.end <= {world.last}, {world.date_sql('known.end')}, null)"
    return frame.select(
        "person_id",
        F.col("known.type").alias("type"),
        F.col("known.value").alias("value"),
        F.expr(world.date_sql("known.start")).alias("valid_from"),
        F.expr(until).alias("valid_to"),
    )
