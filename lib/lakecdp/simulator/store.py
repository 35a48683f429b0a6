"""Tickets of the stores, as CSV lines."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.simulator import catalogue
from lakecdp.simulator.controls import with_cuts
from lakecdp.simulator.flaws import MALFORMED, csv_line, delivered, quoted
from lakecdp.simulator.people import member_id, phone_at, spelled_phone
from lakecdp.simulator.randomness import lookup
from lakecdp.simulator.sharing import spoiled, store_phone
from lakecdp.simulator.visits import product_of, taste
from lakecdp.simulator.world import DAY_MS, World, add

SOURCE = "pos"
KINDS = ("short_line", "long_line", "impossible_date", "wrong_type", "negative_price", "nul_byte")
KEY = "concat(ticket_id, '/', line_no)"
HEADER = (
    *("ticket_id", "line_no", "store_id", "sold_at", "sku", "product_name", "quantity"),
    *("unit_price", "amount", "payment_method", "member_card", "phone", "original_ticket_id"),
)


def sold(visited: DataFrame, world: World) -> DataFrame:
    """One row per ticket line, sold or brought back, by the day it happened.

    Args:
        visited: Result of `visits.visits`.
        world: The company and the deliveries asked for.
    """
    store, draw = world.settings.store, world.draw
    frame = visited.where("channel = 'store'")
    extra = draw.exponential(repr(store.mean_extra_lines), "ticket lines", "h")
    wait = draw.integer(store.return_days, "return wait", "h")
    how = draw.uniform("identified", "h")
    card = f"member and begin >= reg_ms and {how} < {store.member_card_share!r}D"
    also = draw.happens(store.card_phone_share, "phone besides the card", "h")
    said = f"{how} >= {1 - store.phone_share!r}D or (({card}) and {also})"
    number = spoiled(world, "phone", spelled_phone(world, phone_at("day"), "h"), "h")
    shop = draw.integer(store.stores_per_city, "store", "h")
    till = draw.happens(world.settings.identifiers.till_phone_share, "phone of the store", "h")
    frame = add(
        frame,
        mood=taste(world, "h"),
        size=f"cast(least({store.max_lines}D, 1D + floor({extra})) as int)",
        card=f"if({card}, {member_id()}, null)",
        phone=f"case when {till} then {store_phone('city', shop)} when {said} then {number} end",
        store_id=f"concat('S', lpad(cast(city + 1 as string), 2, '0'), "
        f"lpad(cast(1 + {shop} as string), 2, '0'))",
        payment=lookup(
            [name for name, _ in catalogue.PAYMENTS],
            draw.weighted([weight for _, weight in catalogue.PAYMENTS], "payment", "h"),
        ),
        back_day=f"if({draw.happens(store.return_share, 'brings back', 'h')}, "
        f"day + 1 + {wait}, null)",
    )
    # Nobody brings anything back after the day of churn.
    frame = add(frame, back_day="if(back_day <= churn, back_day, null)")
    number = f"lpad(hex({draw.bits('ticket', 'h')}), 16, '0')"
    frame = add(frame, ticket=f"concat(store_id, '-', substr({number}, 1, 10))")
    frame = frame.withColumn("line", F.expr("explode(sequence(1, size))"))
    kept = draw.happens(0.6, "line brought back", "h", "line")
    both = f"back_day is not null and (line = 1 or {kept})"
    frame = frame.withColumn("back", F.expr(f"explode(if({both}, array(0, 1), array(0)))"))
    quantity = draw.weighted([80, 14, 6], "ticket quantity", "h", "line")
    frame = add(
        frame,
        ms=f"if(back = 1, (back_day * 86400L + 36000L + "
        f"{draw.integer(40_000, 'return second', 'h')}) * 1000L, begin)",
        product=product_of(world, "line"),
        quantity=f"(1 + {quantity}) * if(back = 1, -1, 1)",
        ticket_id="concat(if(back = 1, 'R', 'T'), ticket)",
        original_ticket_id="if(back = 1, concat('T', ticket), null)",
    )
    frame = add(frame, day=f"cast(ms div {DAY_MS} as int)", price=world.price("product"))
    return frame.where(f"day <= {world.last}")


def records(tickets: DataFrame, world: World) -> DataFrame:
    """One row per line of pos in the deliveries asked for, not yet written out, cut ones included.

    Args:
        tickets: Result of `sold`.
        world: The company and the deliveries asked for.
    """
    frame = with_cuts(delivered(tickets, world, SOURCE, ["h", "line", "back"], KINDS), world)
    twin = f"copy = {MALFORMED}"
    return add(
        frame,
        ticket_id=f"if({twin}, concat('X', ticket_id), ticket_id)",
        line_no="cast(line as string)",
    )


def lines(frame: DataFrame, world: World) -> DataFrame:
    """The lines of `records`: value STRING, delivery INT."""
    name = world.product(lambda item: item.name, "product", "string")
    fields = {
        "ticket_id": "ticket_id",
        "line_no": "line_no",
        "store_id": "store_id",
        "sold_at": world.clock_sql("ms"),
        "sku": world.sku("product"),
        "product_name": quoted("product_name"),
        "quantity": "cast(quantity as string)",
        "unit_price": "cast(price as string)",
        "amount": "cast(cast(quantity * price as decimal(14,2)) as string)",
        "payment_method": "payment",
        "member_card": "card",
        "phone": "phone",
        "original_ticket_id": "original_ticket_id",
    }
    damages = {
        "impossible_date": {"sold_at": "'2026-02-30 25:61:00'"},
        "wrong_type": {"quantity": "'two'"},
        "negative_price": {"unit_price": "concat('-', cast(price as string))"},
        "nul_byte": {"store_id": "concat(store_id, char(0))"},
    }
    frame = add(frame, product_name=name)
    return frame.select(F.expr(csv_line(fields, damages)).alias("value"), "delivery")


def store_orders(tickets: DataFrame, world: World) -> DataFrame:
    """One row per ticket, returns included (negative): the columns of order_truth."""
    return (
        tickets.groupBy("ticket_id", "pid", "day", "original_ticket_id")
        .agg(F.expr("cast(sum(quantity * price) as decimal(14,2))").alias("amount"))
        .select(
            F.col("ticket_id").alias("order_id"),
            F.col("pid").alias("person_id"),
            F.lit("store").alias("channel"),
            F.expr(world.date_sql("day")).alias("day"),
            "amount",
            F.col("original_ticket_id").alias("original_order_id"),
            F.expr(world.delivery_sql("day")).alias("delivery"),
        )
    )
