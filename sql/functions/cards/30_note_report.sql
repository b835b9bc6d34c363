-- A station reported a written card: what it had not told of the way there is written down now, as
-- told by the report, and that the card is issued; and where p_handed_over, in its holder's hands.
-- The caller holds the holder's lock.
CREATE OR REPLACE FUNCTION cards.note_report(
    p_card_id uuid, p_by text, p_handed_over boolean
) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO cards.transition (card_id, number, from_stage, to_stage, made_by, reason)
    SELECT
        p_card_id,
        (
            SELECT coalesce(max(t.number), 0) FROM cards.transition AS t
            WHERE t.card_id = p_card_id
        ) + row_number() OVER (ORDER BY s.stage),
        s.stage::smallint,
        (s.stage + 1)::smallint,
        p_by,
        CASE s.stage
            WHEN 5 THEN 'the station reported the written card'
            WHEN 6 THEN 'handed over where it was written'
            ELSE 'told with the report'
        END
    FROM generate_series(
        cards.stage_of(p_card_id)::integer, CASE WHEN p_handed_over THEN 6 ELSE 5 END
    ) AS s (stage)
$$;
REVOKE ALL ON FUNCTION cards.note_report(uuid, text, boolean) FROM public;
GRANT EXECUTE ON FUNCTION cards.note_report(uuid, text, boolean) TO spk_issuing;
