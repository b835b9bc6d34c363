-- Write down what happened to a batch: for the functions beside it.
CREATE OR REPLACE FUNCTION cards.note_batch(
    p_batch_id uuid, p_step text, p_station_id text, p_by text, p_reason text
) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO cards.batch_step (batch_id, number, step, station_id, made_by, reason)
    SELECT p_batch_id, coalesce(max(s.number), 0) + 1, p_step, p_station_id, p_by, p_reason
    FROM cards.batch_step AS s WHERE s.batch_id = p_batch_id
$$;
REVOKE ALL ON FUNCTION cards.note_batch(uuid, text, text, text, text) FROM public;
GRANT EXECUTE ON FUNCTION cards.note_batch(uuid, text, text, text, text) TO spk_issuing;
