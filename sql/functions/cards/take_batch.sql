-- Give a batch to a station: the one named, or (NULL) the one it has and has not finished, or the
-- next that is due and free. Again is harmless; a batch of one station is never given to another.
-- Returns 1 and the batch; 2 another station has it; 3 no such batch, or none is due; 4 nothing is
-- open in it.
CREATE OR REPLACE FUNCTION cards.take_batch(
    p_station_id text, p_batch_id uuid, p_on date, p_by text
) RETURNS TABLE (result smallint, batch_id uuid)
LANGUAGE plpgsql AS $$
DECLARE
    chosen cards.batch;
BEGIN
    -- A station that asks twice at once gets one batch; two stations never wait for each other.
    PERFORM pg_advisory_xact_lock(hashtextextended('cards.station ' || p_station_id, 0));
    IF p_batch_id IS NOT NULL THEN
        SELECT b.* INTO chosen FROM cards.batch AS b WHERE b.batch_id = p_batch_id FOR UPDATE;
    ELSE
        SELECT b.* INTO chosen FROM cards.batch AS b
        WHERE b.station_id = p_station_id AND EXISTS (
            SELECT FROM cards.card_order AS o WHERE o.batch_id = b.batch_id AND o.state = 1
        )
        ORDER BY b.number LIMIT 1;
        IF NOT FOUND THEN
            SELECT b.* INTO chosen FROM cards.batch AS b
            WHERE b.station_id IS NULL AND b.planned_on <= p_on AND EXISTS (
                SELECT FROM cards.card_order AS o WHERE o.batch_id = b.batch_id AND o.state = 1
            )
            ORDER BY b.planned_on, b.number LIMIT 1 FOR UPDATE SKIP LOCKED;
        END IF;
    END IF;
    IF chosen.batch_id IS NULL OR NOT cards.may('cards.batch') THEN
        RETURN QUERY SELECT 3::smallint, NULL::uuid;
    ELSIF chosen.station_id IS DISTINCT FROM p_station_id AND chosen.station_id IS NOT NULL THEN
        RETURN QUERY SELECT 2::smallint, chosen.batch_id;
    ELSIF chosen.station_id IS NULL AND NOT EXISTS (
        SELECT FROM cards.card_order AS o WHERE o.batch_id = chosen.batch_id AND o.state = 1
    ) THEN
        RETURN QUERY SELECT 4::smallint, chosen.batch_id;
    ELSE
        IF chosen.station_id IS NULL THEN
            UPDATE cards.batch AS b SET station_id = p_station_id
            WHERE b.batch_id = chosen.batch_id;
            UPDATE cards.card_order AS o SET station_id = p_station_id
            WHERE o.batch_id = chosen.batch_id AND o.state = 1;
            PERFORM cards.note_batch(chosen.batch_id, 'taken', p_station_id, p_by, '');
        END IF;
        RETURN QUERY SELECT 1::smallint, chosen.batch_id;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION cards.take_batch(text, uuid, date, text) FROM public;
GRANT EXECUTE ON FUNCTION cards.take_batch(text, uuid, date, text) TO spk_issuing;
