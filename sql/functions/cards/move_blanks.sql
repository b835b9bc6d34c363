-- Write a movement of blanks down (kinds as in cards.blank_move). Returns 1 written; 2 no such
-- lot; 3 no such station; 4 there are not so many of the lot where they are said to come from; 5
-- the role at work has no right to it; 6 the lot is of another family.
CREATE OR REPLACE FUNCTION cards.move_blanks(
    p_kind smallint, p_lot text, p_family text, p_station_id text, p_blanks integer, p_on date,
    p_by text, p_reason text
) RETURNS smallint
LANGUAGE plpgsql AS $$
DECLARE
    kept cards.blank_lot;
BEGIN
    IF NOT cards.may('cards.count_blanks') THEN
        RETURN 5;
    ELSIF p_station_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM cards.station AS s WHERE s.station_id = p_station_id
    ) THEN
        RETURN 3;
    END IF;
    -- The store gives out one after another.
    PERFORM pg_advisory_xact_lock(hashtextextended('cards.store', 0));
    IF p_kind <> 4 THEN
        IF p_kind = 1 THEN
            INSERT INTO cards.blank_lot (lot, family) VALUES (p_lot, p_family)
            ON CONFLICT DO NOTHING;
        END IF;
        SELECT l.* INTO kept FROM cards.blank_lot AS l WHERE l.lot = p_lot;
        IF kept.lot IS NULL THEN
            RETURN 2;
        ELSIF p_kind = 1 AND kept.family <> p_family THEN
            RETURN 6;
        ELSIF p_kind IN (2, 5) AND p_blanks > (
            SELECT s.in_store FROM cards.blank_store AS s WHERE s.lot = p_lot
        ) THEN
            RETURN 4;
        ELSIF p_kind = 3 AND p_blanks > (
            SELECT coalesce(sum(CASE m.kind WHEN 2 THEN m.blanks ELSE -m.blanks END), 0)
            FROM cards.blank_move AS m
            WHERE m.lot = p_lot AND m.station_id = p_station_id
        ) THEN
            RETURN 4;
        END IF;
    END IF;
    INSERT INTO cards.blank_move (kind, lot, station_id, blanks, moved_on, made_by, reason)
    VALUES (p_kind, p_lot, p_station_id, p_blanks, p_on, p_by, p_reason);
    RETURN 1;
END
$$;
REVOKE ALL ON FUNCTION cards.move_blanks(
    smallint, text, text, text, integer, date, text, text
) FROM public;
GRANT EXECUTE ON FUNCTION cards.move_blanks(
    smallint, text, text, text, integer, date, text, text
) TO spk_issuing;
