-- Lend a temporary card, a code on paper, for a lost one: it may act for whom the lost card may,
-- takes the place of a code lent before, and an application asks for the new card. The lost card
-- must be suspended already. Returns 1 lent; 2 the card is no suspended chip card; 3 the card
-- number is taken: draw another and call again; 4 the role at work has no right to it.
CREATE OR REPLACE FUNCTION cards.lend_code(
    p_lost_card_id uuid,
    p_application_id uuid,
    p_card_id uuid,
    p_card_number text,
    p_public_key_tap bytea,
    p_at timestamptz,
    p_on date,
    p_valid_to date,
    p_by text,
    p_reason text
) RETURNS smallint
LANGUAGE plpgsql AS $$
DECLARE
    lost cards.card;
BEGIN
    SELECT c.* INTO lost FROM cards.card AS c WHERE c.card_id = p_lost_card_id AND c.medium = 1;
    IF NOT FOUND THEN
        RETURN 2;
    END IF;
    -- Whoever changes for whom the citizen may act waits, or has been waited for.
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('cards.authority', 0));
    PERFORM pg_advisory_xact_lock(hashtextextended('cards.holder ' || lost.holder_id::text, 0));
    IF cards.stage_of(p_lost_card_id) <> 8 THEN
        RETURN 2;
    ELSIF NOT cards.may('cards.issue') THEN
        RETURN 4;
    ELSIF EXISTS (
        SELECT FROM cards.card AS c WHERE c.card_number = p_card_number
        UNION ALL SELECT FROM cards.card_order AS o WHERE o.card_number = p_card_number
    ) THEN
        RETURN 3;
    END IF;
    PERFORM cards.replace_others(
        p_card_id, lost.holder_id, lost.represents, 2::smallint, p_by
    );
    PERFORM cards.note_transition(p_card_id, 1::smallint, 7::smallint, p_by, p_reason);
    INSERT INTO cards.card (
        card_id, card_number, holder_id, issuer_region, state, valid_to, public_key_tap, issued_at,
        medium, represents
    ) VALUES (
        p_card_id, p_card_number, lost.holder_id, lost.issuer_region, 1, p_valid_to,
        p_public_key_tap, p_at, 2, lost.represents
    );
    INSERT INTO rights.card_authority (
        bucket, holder_id, card_id, region, scope, valid_from, valid_to, card_state, card_valid_to
    )
    SELECT
        a.bucket, a.holder_id, p_card_id, a.region, a.scope, a.valid_from,
        least(a.valid_to, p_valid_to), 1, p_valid_to
    FROM rights.card_authority AS a
    WHERE a.card_id = p_lost_card_id AND a.valid_to >= p_on AND a.valid_from <= p_valid_to;
    INSERT INTO cards.authority_elsewhere (
        card_id, bucket, holder_id, scope, valid_from, valid_to
    )
    SELECT p_card_id, e.bucket, e.holder_id, e.scope, e.valid_from, least(e.valid_to, p_valid_to)
    FROM cards.authority_elsewhere AS e
    WHERE e.card_id = p_lost_card_id AND e.valid_to >= p_on AND e.valid_from <= p_valid_to;
    INSERT INTO cards.delivery (card_id, version)
    SELECT p_card_id, 1 FROM rights.target AS t WHERE t.targets > 1;
    INSERT INTO cards.application (
        application_id, kind, citizen_id, represents, replaces, state, applied_at, applied_by, reason
    ) VALUES (
        p_application_id, 2, lost.holder_id, lost.represents, p_lost_card_id, 1, p_at, p_by,
        p_reason
    )
    ON CONFLICT DO NOTHING;
    RETURN 1;
END
$$;
REVOKE ALL ON FUNCTION cards.lend_code(
    uuid, uuid, uuid, text, bytea, timestamptz, date, date, text, text
) FROM public;
GRANT EXECUTE ON FUNCTION cards.lend_code(
    uuid, uuid, uuid, text, bytea, timestamptz, date, date, text, text
) TO spk_issuing;
