-- The features from the raw rows, by DuckDB: events, orders, parts (of orders of kind sale, by
-- category), links (in force) and those of them over which facts count. run_day() is the run date. Statements are named by their comment.

-- gold.node_day
WITH e AS (
    SELECT owner_node AS node_id, day, count(*) AS events,
        count(*) FILTER (event_name IN ('page_view', 'view_item')) AS views,
        count(*) FILTER (event_name = 'search') AS searches,
        count(*) FILTER (event_name = 'add_to_cart') AS carts,
        count(*) FILTER (event_name = 'add_to_wishlist') AS favourites,
        count(*) FILTER (event_name = 'begin_checkout') AS checkouts,
        count(*) FILTER (event_name = 'share') AS shares, sum(dwell_seconds) AS dwell_seconds,
        arg_max(device_model, (moment, id)) FILTER (device_model IS NOT NULL) AS device_model,
        max(moment) FILTER (device_model IS NOT NULL) AS device_at,
        arg_max(os, (moment, id)) FILTER (os IS NOT NULL) AS os,
        max(moment) FILTER (os IS NOT NULL) AS os_at
    FROM events GROUP BY ALL
), o AS (
    SELECT owner_node AS node_id, day, count(*) FILTER (kind = 'sale') AS orders,
        sum(units) FILTER (kind = 'sale') AS units, sum(amount) FILTER (kind = 'sale') AS amount,
        count(*) FILTER (kind <> 'sale') AS returns,
        -sum(amount) FILTER (kind <> 'sale') AS returned_amount, sum(margin) AS margin
    FROM orders GROUP BY ALL
), x AS (
    SELECT owner_node AS node_id, day, moment, channel FROM events
    UNION ALL SELECT owner_node, day, moment, channel FROM orders
), b AS (
    SELECT node_id, day, bit_or(1 << extract(hour FROM moment)) AS hours,
        min(moment) AS first_at, max(moment) AS last_at,
        list_sort(list_distinct(list(channel))) AS channels
    FROM x GROUP BY ALL
)
SELECT * FROM b LEFT JOIN e USING (node_id, day) LEFT JOIN o USING (node_id, day);

-- gold.node_category_day
SELECT node_id, day, category, sum(v) AS views, sum(c) AS carts, sum(u) AS units, sum(a) AS amount
FROM (
    SELECT owner_node AS node_id, day, category, (event_name = 'view_item')::INT AS v,
        (event_name = 'add_to_cart')::INT AS c, 0 AS u, 0 AS a
    FROM events
    WHERE event_name IN ('view_item', 'add_to_cart') AND category IS NOT NULL
    UNION ALL SELECT owner_node, day, category, 0, 0, units, amount FROM parts
)
GROUP BY ALL;

-- gold.customer_feature
WITH c AS (
    SELECT customer_id, count(*) AS nodes, list_sort(list_distinct(list(
        CASE WHEN node_id % 2 = 1 THEN 'phone' ELSE 'cookie' END))) AS identifier_types
    FROM links GROUP BY ALL
), f AS (
    SELECT customer_id, day, channel, 1 AS events,
        (event_name IN ('page_view', 'view_item'))::INT AS views,
        (event_name = 'search')::INT AS searches, (event_name = 'add_to_cart')::INT AS carts,
        coalesce(dwell_seconds, 0) AS dwell_seconds,
        0 AS orders, 0 AS units, 0 AS amount, 0 AS returns, 0 AS returned_amount,
        0 AS margin
    FROM events JOIN counting ON owner_node = node_id
    WHERE day <= run_day()
    UNION ALL
    SELECT customer_id, day, channel, 0, 0, 0, 0, 0, (kind = 'sale')::INT,
        CASE WHEN kind = 'sale' THEN units ELSE 0 END,
        CASE WHEN kind = 'sale' THEN coalesce(amount, 0) ELSE 0 END,
        (kind <> 'sale')::INT, CASE WHEN kind <> 'sale' THEN -coalesce(amount, 0) ELSE 0 END,
        coalesce(margin, 0)
    FROM orders JOIN counting ON owner_node = node_id
    WHERE day <= run_day()
), w AS (
    SELECT customer_id,
        count(DISTINCT day) FILTER (day > run_day() - 7) AS active_days_7d,
        coalesce(sum(views) FILTER (day > run_day() - 7), 0) AS views_7d,
        coalesce(sum(carts) FILTER (day > run_day() - 7), 0) AS carts_7d,
        coalesce(sum(orders) FILTER (day > run_day() - 7), 0) AS orders_7d,
        coalesce(sum(amount) FILTER (day > run_day() - 7), 0) AS amount_7d,
        count(DISTINCT day) FILTER (day > run_day() - 30) AS active_days_30d,
        coalesce(sum(views) FILTER (day > run_day() - 30), 0) AS views_30d,
        coalesce(sum(carts) FILTER (day > run_day() - 30), 0) AS carts_30d,
        coalesce(sum(orders) FILTER (day > run_day() - 30), 0) AS orders_30d,
        coalesce(sum(amount) FILTER (day > run_day() - 30), 0) AS amount_30d,
        count(DISTINCT day) FILTER (day > run_day() - 90) AS active_days_90d,
        coalesce(sum(views) FILTER (day > run_day() - 90), 0) AS views_90d,
        coalesce(sum(carts) FILTER (day > run_day() - 90), 0) AS carts_90d,
        coalesce(sum(orders) FILTER (day > run_day() - 90), 0) AS orders_90d,
        coalesce(sum(amount) FILTER (day > run_day() - 90), 0) AS amount_90d,
        count(DISTINCT day) FILTER (day > run_day() - 365) AS active_days_365d,
        coalesce(sum(views) FILTER (day > run_day() - 365), 0) AS views_365d,
        coalesce(sum(carts) FILTER (day > run_day() - 365), 0) AS carts_365d,
        coalesce(sum(orders) FILTER (day > run_day() - 365), 0) AS orders_365d,
        coalesce(sum(amount) FILTER (day > run_day() - 365), 0) AS amount_365d
    FROM f GROUP BY ALL
), a AS (
    SELECT customer_id, min(day) AS first_active_on, max(day) AS last_active_on,
        count(DISTINCT day) AS active_days, sum(events) AS events, sum(views) AS views,
        sum(searches) AS searches, sum(carts) AS carts, sum(dwell_seconds) AS dwell_seconds,
        count(DISTINCT day) FILTER (isodow(day) >= 6) AS weekend_days,
        min(day) FILTER (orders = 1) AS first_order_on,
        max(day) FILTER (orders = 1) AS last_order_on,
        sum(orders) AS orders, sum(units) AS units, sum(amount) AS amount,
        sum(returns) AS returns, sum(returned_amount) AS returned_amount,
        sum(margin) AS margin,
        list_sort(list_distinct(list(channel))) AS channels,
        list_sort(list_distinct(list(day) FILTER (orders = 1))) AS order_dates
    FROM f GROUP BY ALL
), last_device AS (
    -- Of one identifier the later event id decides between events of one moment, of several the name.
    SELECT customer_id, max((m, v))[2] AS device_model
    FROM (
        SELECT customer_id, owner_node, max(moment) AS m, arg_max(device_model, (moment, id)) AS v
        FROM events JOIN counting ON owner_node = node_id
        WHERE day <= run_day() AND device_model IS NOT NULL GROUP BY ALL
    )
    GROUP BY ALL
), last_os AS (
    SELECT customer_id, max((m, v))[2] AS os
    FROM (
        SELECT customer_id, owner_node, max(moment) AS m, arg_max(os, (moment, id)) AS v
        FROM events JOIN counting ON owner_node = node_id
        WHERE day <= run_day() AND os IS NOT NULL GROUP BY ALL
    )
    GROUP BY ALL
), g AS (
    SELECT customer_id, category, sum(v) AS v, sum(m) AS m
    FROM (
        SELECT customer_id, category, 1 AS v, 0 AS m
        FROM events JOIN counting ON owner_node = node_id
        WHERE day <= run_day() AND event_name = 'view_item' AND category IS NOT NULL
        UNION ALL
        SELECT customer_id, category, 0, amount
        FROM parts JOIN counting ON owner_node = node_id
        WHERE day <= run_day()
    )
    GROUP BY ALL
), t AS (
    SELECT customer_id, count(*) AS categories,
        -- What was bought at an amount that is not known, and never viewed, tells no taste.
        CASE WHEN max(m) > 0 OR max(v) > 0
            THEN first(category ORDER BY m > 0 DESC, m DESC, v DESC, category) END AS top_category,
        CASE WHEN sum(m) > 0 THEN max(m) ELSE max(v) END AS part,
        CASE WHEN sum(m) > 0 THEN sum(m) ELSE sum(v) END AS whole
    FROM g GROUP BY ALL
)
SELECT c.*, a.* EXCLUDE (customer_id, order_dates), coalesce(order_dates, []) AS order_dates,
    device_model, os, t.* EXCLUDE (customer_id),
    w.* EXCLUDE (customer_id)
FROM c
LEFT JOIN a USING (customer_id)
LEFT JOIN t USING (customer_id)
LEFT JOIN last_device USING (customer_id)
LEFT JOIN last_os USING (customer_id)
LEFT JOIN w USING (customer_id);
