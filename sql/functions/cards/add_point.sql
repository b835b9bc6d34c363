-- Add a delivery point, or change what is known of it. False: there is no such region.
CREATE OR REPLACE FUNCTION cards.add_point(
    p_point_id text, p_region smallint, p_name text, p_address text, p_phone text, p_hours text,
    p_delivery_days smallint, p_daily_max integer
) RETURNS boolean
LANGUAGE sql AS $$
WITH kept AS (
    INSERT INTO cards.delivery_point AS p (
        point_id, region, name, address, phone, hours, delivery_days, daily_max
    )
    SELECT
        p_point_id, r.region, p_name, p_address, p_phone, p_hours, p_delivery_days, p_daily_max
    FROM regulations.region AS r WHERE r.region = p_region
    ON CONFLICT (point_id) DO UPDATE SET
        region = excluded.region, name = excluded.name, address = excluded.address,
        phone = excluded.phone, hours = excluded.hours, delivery_days = excluded.delivery_days,
        daily_max = excluded.daily_max, active = TRUE
    RETURNING p.point_id
)

SELECT EXISTS (SELECT FROM kept);
$$;
REVOKE ALL ON FUNCTION cards.add_point(
    text, smallint, text, text, text, text, smallint, integer
) FROM public;
GRANT EXECUTE ON FUNCTION cards.add_point(
    text, smallint, text, text, text, text, smallint, integer
) TO spk_issuing;
