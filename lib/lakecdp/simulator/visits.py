"""Who comes on which day through which channel, and what happens in an online visit."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.simulator import catalogue
from lakecdp.simulator.campaigns import moved
from lakecdp.simulator.people import device_spec, persons
from lakecdp.simulator.randomness import lookup, text, zipf
from lakecdp.simulator.sharing import lent
from lakecdp.simulator.world import World, add

PLANNED, MOVED, SIGN_UP = 0, 8, 9
"""Numbers of special visits of a person's day: planned purchase, one after a message, sign-up."""

# Steps of a visit besides its views, which have the codes 0, 1, 2 ...
START, SEARCH, NEWSLETTER, LOGIN = 1000, 1001, 1002, 1003
CART, REMOVE, FAVOURITE, SHARE, CHECKOUT, PAY, SIGNED_UP = 1010, 1020, 1030, 1040, 1050, 1060, 1070
PAY_FAILED, POPUP = 1055, 1080
MAX_CARTED = 3


def visits(spark: SparkSession, world: World) -> DataFrame:
    """One row per visit of a person: the columns of `persons` and day, j, channel, h, begin.

    j INT numbers the visits of a day, h BIGINT is the key of all draws of the visit, begin BIGINT
    is its start in ms since the first local midnight; owner and account as in `lent`. Nobody comes
    on the day of churn or later, so that a visit that runs past midnight still ends by that day.
    """
    behaviour, people, draw = world.settings.behaviour, world.settings.people, world.draw
    # Tickets that are brought back in these deliveries count too.
    start = max(0, world.first_event_day - world.settings.store.return_days)
    frame = add(
        persons(spark, world),
        since=f"greatest(entry, {start})",
        until=f"least(churn - 1, {world.last})",
    ).where("since <= until")
    frame = frame.withColumn("day", F.explode(F.expr("sequence(since, until)")))
    weekday = world.settings.first_day.weekday()
    frame = add(
        frame,
        fade=f"if(day > churn - {people.fade_days}, {people.fade_factor!r}D, 1D)",
        rate=f"visit_rate * if((day + {weekday}) % 7 >= 5, {behaviour.weekend_factor!r}D, 1D) "
        f"* {festive(world, 'visit_factor')}",
        turn="cast(floor((day - phase) / cycle) as bigint)",
        luck=draw.uniform("visits", "pid", "day"),
    )

    def due(turn: str) -> str:
        shift = f"({draw.uniform('irregular', 'pid', turn)} - 0.5D) * {behaviour.cycle_jitter!r}D"
        return f"floor(phase + ({turn} + {shift}) * cycle) = day"

    # A shift of at most a quarter of the cycle leaves two candidates for any day.
    due_today = f"buyer and ({due('turn')} or {due('(turn + 1L)')})"
    still = draw.uniform("still buys", "pid", "day")
    few = "exp(-rate * fade)"
    count = f"""case when luck < {few} then 0 when luck < {few} * (1D + rate * fade) then 1
        when luck < {few} * (1D + rate * fade * (1D + rate * fade / 2D)) then 2 else 3 end"""
    frame = add(
        frame,
        planned=f"{due_today} and {still} < fade",
        browsing=f"greatest({count}, cast(day = entry as int))",
        signing="day = reg and reg_channel <> 'store'",
        moved=moved(world),
    ).where("planned or browsing > 0 or signing or moved")
    numbers = f"""concat(if(planned, array({PLANNED}), cast(array() as array<int>)),
        if(browsing > 0, sequence(1, browsing), cast(array() as array<int>)),
        if(moved, array({MOVED}), cast(array() as array<int>)),
        if(signing, array({SIGN_UP}), cast(array() as array<int>)))"""
    frame = frame.withColumn("j", F.explode(F.expr(numbers)))
    frame = add(frame, h=draw.bits("visit", "pid", "day", "j"))
    way, intends = draw.uniform("channel", "h"), f"j in ({PLANNED}, {MOVED})"
    opening = f"({draw.uniform('hour a', 'h')} + {draw.uniform('hour b', 'h')}) / 2D"
    frame = add(
        frame,
        channel=f"""case when j = {SIGN_UP} then reg_channel
            when {way} * if({intends}, 1D, app_share + web_share) < app_share then 'app'
            when {way} * if({intends}, 1D, app_share + web_share) < app_share + web_share
            then 'web' else 'store' end""",
    )
    online = draw.second_of_day(behaviour.hour_weights, "start", "h")
    tablet = draw.happens(world.settings.identifiers.kiosk_share, "tablet in a store", "h")
    frame = add(frame, kiosk=f"channel = 'app' and j <> {SIGN_UP} and {tablet}")
    second = f"""case when j = {SIGN_UP} then reg_second - 60
        when channel = 'store' or kiosk then 36000 + cast(43000 * {opening} as int) else {online} end"""
    frame = add(frame, begin=f"(day * 86400L + {second}) * 1000L")
    return lent(frame, world, f"j = {SIGN_UP}")


def festive(world: World, factor: str) -> str:
    """SQL for a factor of the festivals on a `day`."""
    found = ["1D"]
    for one in world.settings.festivals:
        start = (one.first_day - world.settings.first_day).days
        times = f"{getattr(one, factor)!r}D"
        found.append(f"if(day between {start} and {start + one.days - 1}, {times}, 1D)")
    return f"({' * '.join(found)})"


def taste(world: World, *keys: str) -> str:
    """SQL for the category number of a visit or a ticket, by the taste of its person."""
    behaviour, draw = world.settings.behaviour, world.draw
    mood = draw.uniform("category", *keys)
    both = behaviour.favourite_category + behaviour.second_category
    return f"""case when {mood} < {behaviour.favourite_category!r}D then favourite
        when {mood} < {both!r}D then second
        else {draw.integer(world.settings.catalogue.categories, "any category", *keys)} end"""


def product_of(world: World, position: str) -> str:
    """SQL for the product number seen at a position of a visit or ticket (h, mood)."""
    shape, draw = world.settings.catalogue, world.draw
    stays = draw.happens(world.settings.behaviour.stay_in_category, "stay", "h", position)
    other = draw.integer(shape.categories, "other category", "h", position)
    rank = zipf(
        shape.products_per_category,
        shape.popularity_exponent,
        draw.uniform("product", "h", position),
    )
    return f"(if({stays}, mood, {other}) * {shape.products_per_category} + {rank})"


def shopping(visited: DataFrame, world: World) -> DataFrame:
    """The online ones of `visits` with what happens in them, still one row per visit.

    Adds mood (category number), seen (views), pace (DOUBLE seconds), carted (0 to 3), cart_0 to
    cart_2 (positions of the carted views, strictly increasing), removed, checks_out, buys and fails
    (a payment that did not go through) BOOLEAN, device (0 or 1), spec (number in the catalogue of
    devices) and version STRING of the app, items (ARRAY<STRUCT<product_id, quantity, price>> left
    in the cart), amount DECIMAL(14,2) and order_number STRING.
    """
    behaviour, draw = world.settings.behaviour, world.draw
    views = draw.lognormal(behaviour.views_per_visit, behaviour.views_spread, "views", "h")
    pace = draw.lognormal(behaviour.seconds_per_view, behaviour.pace_spread, "pace", "h")
    frame = add(
        visited.where("channel <> 'store'"),
        mood=taste(world, "h"),
        seen=f"cast(greatest(1D, least({behaviour.max_views}D, round({views}))) as int)",
        # Even the longest visit ends on the next day.
        pace=f"least({80_000 / (behaviour.max_views + 2)!r}D, greatest(6D, least(400D, {pace})))",
    )
    carting = draw.happens(behaviour.cart_share, "carts", "h")
    more = f"1 + cast({draw.happens(0.4, 'second cart', 'h')} as int)"
    more += f" + cast({draw.happens(0.15, 'third cart', 'h')} as int)"
    frame = add(
        frame,
        carted=f"if(j in ({PLANNED}, {MOVED}) or {carting}, least(seen, {more}), 0)",
        device=f"if(channel = 'app' and owner = pid and devices = 2 "
        f"and {draw.happens(0.25, 'device', 'h')}, 1, 0)",
        version=draw.choice(catalogue.APP_VERSIONS, "app version", "h"),
    )
    frame = add(
        frame,
        spec=device_spec(world, "device", "owner"),
        removed=f"carted > 1 and {draw.happens(behaviour.remove_share, 'remove', 'h')}",
        reaches=draw.happens(behaviour.checkout_share, "checkout", "h"),
        **{
            # One position in each stretch of the visit: never the same view twice.
            f"cart_{slot}": f"cast(floor(({slot} + {draw.uniform(f'cart {slot}', 'h')}) "
            "* seen / greatest(carted, 1)) as int)"
            for slot in range(MAX_CARTED)
        },
    )
    frame = add(frame, product_0=product_of(world, "cart_0"))
    frame = _paid(frame, world)
    items, amounts = [], []
    for slot in range(MAX_CARTED):
        number = product_of(world, f"cart_{slot}")
        quantity = f"if({draw.happens(0.15, f'quantity {slot}', 'h')}, 2, 1)"
        kept = f"carted - cast(removed as int) > {slot}"
        if slot:
            frame = add(frame, **{f"product_{slot}": number})
        price = world.price(f"product_{slot}")
        items.append(
            f"if({kept}, struct({world.sku(f'product_{slot}')} as product_id, "
            f"{quantity} as quantity, {price} as price), null)"
        )
        amounts.append(f"if({kept}, {quantity} * {price}, cast(0 as decimal(12,2)))")
    return add(
        frame,
        checks_out="buys or fails or (carted > 0 and reaches)",
        items=f"array_compact(array({', '.join(items)}))",
        amount=f"cast({' + '.join(amounts)} as decimal(14,2))",
        order_number=f"concat(if(channel = 'app', 'A', 'W'), "
        f"replace(cast({world.date_sql('day')} as string), '-', ''), "
        f"substr(lpad(hex({draw.bits('order', 'h')}), 16, '0'), 1, 12))",
    )


def _paid(frame: DataFrame, world: World) -> DataFrame:
    """Adds buys and fails: whether the visit ends in a purchase, or in a payment that fails."""
    behaviour, payment, draw = world.settings.behaviour, world.settings.payment, world.draw
    medians = [repr(category.price) for category in world.categories]
    number = f"product_0 div {world.settings.catalogue.products_per_category}"
    ratio = f"(cast({world.price('product_0')} as double) / {lookup(medians, number, 'double')})"
    taste_for_price = f"{world.settings.people.price_effect!r}D * (1D - 2D * sensitivity)"
    appeal = f"greatest(0.4D, least(1.6D, power({ratio}, {taste_for_price})))"
    buying = f"if(j in ({PLANNED}, {MOVED}), {behaviour.planned_purchase_share!r}D, "
    buying += f"{behaviour.impulse_share!r}D)"
    end = draw.uniform("end of cart", "h")
    frame = add(
        frame,
        wants=f"carted > 0 and {end} < {buying} * {appeal} * {festive(world, 'purchase_factor')}",
    )
    start = (payment.broken_from - world.settings.first_day).days
    system = lookup([name for name, *_ in catalogue.DEVICES], "spec")
    broken = f"""channel = 'app' and {system} = {text(payment.broken_os)}
        and version = {text(payment.broken_app_version)}
        and day >= {start} and day < {start + payment.broken_days}"""
    share = f"if({broken}, {payment.broken_share!r}D, {payment.fail_share!r}D)"
    frame = add(frame, fails=f"wants and {draw.uniform('payment fails', 'h')} < {share}")
    return add(frame, buys="wants and not fails")


def reach(world: World, position: str) -> str:
    """SQL for the seconds from the start of a visit to its view at a position."""
    return f"(({position} + 1 + 0.8D * {world.draw.uniform('moment', 'h', position)}) * pace)"


def steps(frame: DataFrame, world: World, extras: dict[int, str]) -> DataFrame:
    """One row per step of the visits of `shopping`.

    Adds code INT (0, 1, ... for views, else one of the constants), number INT (from 1, in order of
    time), place INT (the view that the step belongs to, NULL if none), product INT (number, NULL if
    none), ms BIGINT (moment, in ms since the first local midnight), dwell DOUBLE seconds (NULL if
    not a view).

    Args:
        frame: Visits.
        world: The company.
        extras: Further steps by code, with the SQL condition under which they occur.
    """
    draw = world.draw
    common = {
        START: "true",
        SEARCH: draw.happens(world.settings.behaviour.search_share, "search", "h"),
        **{CART + slot: f"carted > {slot}" for slot in range(MAX_CARTED)},
        REMOVE: "removed",
        CHECKOUT: "checks_out",
        PAY: "buys",
        PAY_FAILED: "fails",
    }
    flags = [f"if({when}, {code}, null)" for code, when in (common | extras).items()]
    codes = f"concat(sequence(0, seen - 1), array_compact(array({', '.join(flags)})))"
    anywhere = f"cast({draw.uniform('anywhere', 'h')} * seen as int)"
    place = f"""case when code < {START} then code when code = {CART} then cart_0
            when code = {CART + 1} then cart_1 when code = {CART + 2} then cart_2
            when code = {REMOVE} then if(carted = 2, cart_1, cart_2)
            when code in ({FAVOURITE}, {SHARE}) then {anywhere} end"""
    here, stay = reach(world, f"({place})"), reach(world, f"(({place}) + 1)")
    end = reach(world, "seen")
    login = f"when {LOGIN} then login_after" if LOGIN in extras else ""
    after = f"""case code when {START} then 0D when {SEARCH} then 0.5D * pace
        when {NEWSLETTER} then 0.3D * pace {login}
        when {REMOVE} then {end} + 1.5D when {CHECKOUT} then {end} + 4D
        when {PAY_FAILED} then {end} + 15D
        when {PAY} then {end} + 20D + 60D * {draw.uniform("payment", "h")}
        when {SIGNED_UP} then 60D when {POPUP} then 1D
        when {FAVOURITE} then {here} + 0.4D * ({stay} - {here})
        when {SHARE} then {here} + 0.6D * ({stay} - {here})
        else {here} + if(code < {START}, 0D, 0.8D * ({stay} - {here})) end"""
    # In order of time before they are rows of their own: numbering these would shuffle them.
    moment = f"named_struct('ms', begin + cast(1000D * ({after}) as bigint), 'code', code)"
    moments = f"array_sort(transform({codes}, code -> {moment}))"
    frame = frame.select("*", F.expr(f"posexplode({moments}) as (before, step)"))
    frame = add(frame, code="step.code", ms="step.ms", number="before + 1")
    frame = add(frame.drop("before", "step"), place=place)
    frame = add(frame, here=reach(world, "place"), stay=reach(world, "(place + 1)"))
    brief = draw.happens(world.settings.traffic.short_view_share, "short view", "h", "code")
    seconds = f"0.2D + 2.7D * {draw.uniform('short', 'h', 'code')}"
    return add(
        frame,
        product=f"if(place is null, null, {product_of(world, 'place')})",
        dwell=f"if(code < {START}, if({brief}, {seconds}, least(900D, 0.85D * (stay - here))), null)",
    )


def lost(world: World) -> str:
    """SQL for whether an event of a visit never reaches the company."""
    losses, draw = world.settings.losses, world.draw
    purchase = draw.happens(losses.purchase_share, "lost purchase", "h", "code")
    other = draw.happens(losses.event_share, "lost event", "h", "code")
    return f"if(code = {PAY}, {purchase}, {other})"


def session() -> str:
    """SQL for the number that an SDK gives a visit, within which it counts its events."""
    return "lower(lpad(hex(h), 16, '0'))"


def truth_lost(sent: DataFrame, world: World, source: str, event: str) -> DataFrame:
    """One row per event that was sent and never arrives.

    source STRING, session STRING, number INT (from 1 within the session), event STRING as the
    source calls it, order_id STRING (of purchases), day DATE (local), delivery INT.

    Args:
        sent: Events with h, code, number, lost, day and order_number or order_id.
        world: The company.
        source: Source name.
        event: SQL of the event's name.
    """
    return sent.where("lost").select(
        F.lit(source).alias("source"),
        F.expr(session()).alias("session"),
        "number",
        F.expr(event).alias("event"),
        F.expr(f"if(code = {PAY}, order_number, null)").alias("order_id"),
        F.expr(world.date_sql("day")).alias("day"),
        F.expr(world.delivery_sql("greatest(day, 0)")).alias("delivery"),
    )
