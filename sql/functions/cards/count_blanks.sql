-- Keep what was counted at a station at the end of a day, beside what came, was made good and
-- spoiled since the day that was counted before; the row's `missing` is an alarm unless it is 0.
-- Of several counts of a day the last stands. No row: no such station, or no right to it.
CREATE OR REPLACE FUNCTION cards.count_blanks(
    p_station_id text, p_on date, p_left integer, p_by text
) RETURNS SETOF cards.blank_count
LANGUAGE plpgsql AS $$
DECLARE
    since date;
    left_before integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('cards.station ' || p_station_id, 0));
    SELECT c.counted_on, c.counted_left INTO since, left_before
    FROM cards.blank_count AS c
    WHERE c.station_id = p_station_id AND c.counted_on < p_on
    ORDER BY c.counted_on DESC, c.number DESC LIMIT 1;
    RETURN QUERY
    INSERT INTO cards.blank_count (
        station_id, counted_on, number, opening, given, returned, good, spoiled, counted_left,
        made_by
    )
    SELECT
        s.station_id, p_on,
        1 + (
            SELECT count(*) FROM cards.blank_count AS c
            WHERE c.station_id = s.station_id AND c.counted_on = p_on
        ),
        coalesce(left_before, 0), m.given, m.returned,
        (
            SELECT count(*) FROM cards.card_order AS o
            WHERE
                o.station_id = s.station_id AND o.state = 2
                AND o.issued_on > coalesce(since, '-infinity'::date) AND o.issued_on <= p_on
        ),
        m.spoiled, p_left, p_by
    FROM cards.station AS s
    CROSS JOIN LATERAL (
        SELECT
            coalesce(sum(b.blanks) FILTER (WHERE b.kind = 2), 0)::integer AS given,
            coalesce(sum(b.blanks) FILTER (WHERE b.kind = 3), 0)::integer AS returned,
            coalesce(sum(b.blanks) FILTER (WHERE b.kind = 4), 0)::integer AS spoiled
        FROM cards.blank_move AS b
        WHERE
            b.station_id = s.station_id
            AND b.moved_on > coalesce(since, '-infinity'::date) AND b.moved_on <= p_on
    ) AS m
    WHERE s.station_id = p_station_id AND cards.may('cards.count_blanks')
    RETURNING *;
END
$$;
REVOKE ALL ON FUNCTION cards.count_blanks(text, date, integer, text) FROM public;
GRANT EXECUTE ON FUNCTION cards.count_blanks(text, date, integer, text) TO spk_issuing;
