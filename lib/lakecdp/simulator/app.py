"""Events of the app, as JSON lines in the style of Sensors Analytics."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.simulator import catalogue, traffic, visits
from lakecdp.simulator.flaws import MALFORMED, damaged_json, delivered
from lakecdp.simulator.people import device_id, member_id, phone_at, spelled_phone
from lakecdp.simulator.randomness import lookup, text
from lakecdp.simulator.sharing import spoiled
from lakecdp.simulator.world import DAY_MS, World, add

SOURCE = "app_events"
KINDS = ("broken_json", "nul_byte", "impossible_date", "wrong_type", "negative_price")
KEY = "cast(track_id as string)"
_COLUMNS = (
    *("h", "code", "ms", "product", "dwell", "device_id", "member_id", "account", "pid", "reg_ms"),
    *("logged_in", "spec", "version", "ip", "city", "mood", "order_number", "leaves_phone"),
    *("phone", "amount", "items", "traffic", "number"),
)


def sent(shopped: DataFrame, world: World) -> DataFrame:
    """One row per event that the app sends, with `lost` where it never arrives.

    Args:
        shopped: Result of `visits.shopping`.
        world: The company and the deliveries asked for.
    """
    behaviour, draw = world.settings.behaviour, world.draw
    logged_in = draw.happens(behaviour.app_login_share, "logged in", "h")
    frame = add(
        shopped.where("channel = 'app'"),
        device_id=spoiled(world, "device_id", device_id(world, "device", "owner"), "h"),
        logged_in=f"account <> pid or (member and (j = {visits.SIGN_UP} or {logged_in}))",
        member_id=member_id("account"),
        leaves_phone=draw.happens(behaviour.guest_phone_share, "guest phone", "h"),
        phone=spoiled(world, "phone", spelled_phone(world, phone_at("day"), "h"), "h"),
    )
    extras = {
        visits.FAVOURITE: draw.happens(behaviour.favourite_share, "marks favourite", "h"),
        visits.SHARE: draw.happens(behaviour.share_share, "shares", "h"),
        visits.SIGNED_UP: f"j = {visits.SIGN_UP}",
        visits.POPUP: off_plan(world, "undocumented event"),
    }
    frame = visits.steps(frame, world, extras)
    short = f"cast(dwell * 1000D as bigint) < {1000 * traffic.SHORT_SECONDS}"
    kinds = f"if({short}, array('{traffic.SHORT}'), cast(array() as array<string>))"
    day = f"cast(ms div {DAY_MS} as int)"
    return add(frame, day=day, lost=visits.lost(world), traffic=kinds)


def off_plan(world: World, what: str) -> str:
    """SQL for whether a visit shows what the tracking plan does not know."""
    tracking = world.settings.tracking
    by_chance = world.draw.happens(tracking.undocumented_share, what, "h")
    return f"version = {text(tracking.undocumented_version)} and {by_chance}"


def records(sent: DataFrame, world: World) -> DataFrame:
    """One row per line of app_events in the deliveries asked for, not yet written out.

    Args:
        sent: Result of `sent`.
        world: The company and the deliveries asked for.
    """
    draw = world.draw
    frame = sent.where("not lost").select(*_COLUMNS)
    frame = frame.unionByName(traffic.apps(sent.sparkSession, world).select(*_COLUMNS))
    frame = add(frame, day=f"cast(ms div {DAY_MS} as int)")
    frame = delivered(frame, world, SOURCE, ["h", "code"], KINDS)
    identity = draw.bits("track id", "h", "code", f"cast(copy = {MALFORMED} as int)")
    # What has no price cannot have a wrong one.
    priced = "planted in ('wrong_type', 'negative_price') and product is null"
    return add(
        frame,
        track_id=f"{identity} & {2**63 - 1}L",
        planted=f"if({priced}, 'broken_json', planted)",
    )


def _column(column: int) -> list[str]:
    return [str(device[column]) for device in catalogue.DEVICES]


def event() -> str:
    """SQL for the name of an event."""
    names = {
        visits.START: "AppStart",
        visits.SEARCH: "Search",
        visits.REMOVE: "RemoveFromCart",
        visits.FAVOURITE: "Favorite",
        visits.SHARE: "Share",
        visits.CHECKOUT: "BeginCheckout",
        visits.PAY: "PayOrder",
        visits.PAY_FAILED: "PayFailed",
        visits.SIGNED_UP: "SignUp",
        visits.POPUP: "CouponPopup",
    }
    cases = " ".join(f"when {code} then '{name}'" for code, name in names.items())
    return f"if(code < {visits.START}, 'ViewProduct', case code {cases} else 'AddToCart' end)"


LOGIN = "if(logged_in and (account <> pid or ms >= reg_ms), member_id, null)"
"""SQL for the member id that an event carries."""
PHONE = f"if(code = {visits.PAY} and {LOGIN} is null and leaves_phone, phone, null)"
"""SQL for the phone number that an event carries."""


def lines(frame: DataFrame, world: World) -> DataFrame:
    """The lines of `records`: value STRING, delivery INT."""
    # Nobody: some versions of the app send a word in the place of a member id.
    nobody = spoiled(world, "member_id", "string('')", "h")
    cities = [city for city, *_ in catalogue.CITIES]
    provinces = [province for _, province, _ in catalogue.CITIES]
    selling = f"code in ({visits.CHECKOUT}, {visits.PAY})"
    properties = {
        "$device_id": "device_id",
        "$os": lookup(_column(0), "spec"),
        "$os_version": lookup(_column(1), "spec"),
        "$model": lookup(_column(2), "spec"),
        "$app_version": "version",
        "$session": visits.session(),
        "$seq": "number",
        "product_id": world.sku("product"),
        "category": f"if(product is null, null, {world.category_of('product')})",
        "price": world.price("product"),
        "keyword": f"if(code = {visits.SEARCH}, {term(world)}, null)",
        "dwell_ms": "cast(dwell * 1000D as bigint)",
        "order_id": f"if(code in ({visits.PAY}, {visits.PAY_FAILED}), order_number, null)",
        "phone": PHONE,
        "order_amount": f"if(code = {visits.PAY}, amount, null)",
        "items": f"if({selling}, items, null)",
        "$ip": "ip",
        "$city": lookup(cities, "city"),
        "$province": lookup(provinces, "city"),
        "coupon_id": f"if(code = {visits.POPUP}, 'C10', null)",
        "ab_group": f"if(code = {visits.START} and {off_plan(world, 'undocumented property')}, "
        "'B', null)",
    }
    nested = ", ".join(f"{text(name)}, {sql}" for name, sql in properties.items())
    fields = {
        "_track_id": "track_id",
        "distinct_id": f"coalesce({LOGIN}, device_id)",
        "login_id": f"coalesce({LOGIN}, nullif({nobody}, ''))",
        "time": f"ms + {world.epoch_ms}L",
        "type": "'track'",
        "event": event(),
        "properties": f"named_struct({nested})",
    }
    record = ", ".join(f"{text(name)}, {sql}" for name, sql in fields.items())
    frame = frame.select(
        F.expr(f"to_json(named_struct({record}))").alias("line"), "planted", "delivery"
    )
    damages = {
        "impossible_date": """regexp_replace(line, '"time":[0-9]+', '"time":99999999999999999')""",
        "wrong_type": """regexp_replace(line, '"price":[0-9.]+', '"price":"twelve"')""",
        "negative_price": """replace(line, '"price":', '"price":-')""",
    }
    return frame.select(F.expr(damaged_json("line", damages)).alias("value"), "delivery")


def term(world: World) -> str:
    """SQL for what is searched for in a visit."""
    terms = [word for category in world.categories for word in category.terms[:4]]
    return lookup(terms, f"mood * 4 + {world.draw.integer(4, 'search term', 'h')}")
