-- Link a written card to its order, and to everyone it may act for; those whose rights lie in
-- other databases are noted for delivery. Returns 1 issued; 2 the same report came before; 3
-- another report came before; 4 the order was given up; 5 this station has no such order. A card
-- with a delivery point waits there, usable by nobody, until it is handed over; any other is in
-- its holder's hands, and takes the place of the one before.
CREATE OR REPLACE FUNCTION cards.issue_card(
    p_order_id uuid,
    p_station_id text,
    p_public_key_tap bytea,
    p_public_key_pin bytea,
    p_certificate_tap bytea,
    p_certificate_pin bytea,
    p_issued_at timestamptz,
    p_on date,
    p_pin_is_transport boolean DEFAULT FALSE
) RETURNS smallint
LANGUAGE plpgsql AS $$
DECLARE
    ordered cards.card_order;
    at_once boolean;
    first_state smallint;
BEGIN
    SELECT o.* INTO ordered
    FROM cards.card_order AS o
    WHERE o.order_id = p_order_id AND o.station_id = p_station_id
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 5;
    ELSIF ordered.state = 3 THEN
        RETURN 4;
    ELSIF ordered.state = 2 THEN
        RETURN CASE WHEN EXISTS (
            SELECT FROM cards.card AS c
            WHERE
                c.card_id = ordered.card_id
                AND c.certificate_tap = p_certificate_tap
                AND c.certificate_pin = p_certificate_pin
        ) THEN 2 ELSE 3 END;
    END IF;
    -- Whoever changes for whom the citizen may act waits, or has been waited for.
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('cards.authority', 0));
    -- Two cards of one citizen reported at once must not both stay active.
    PERFORM pg_advisory_xact_lock(hashtextextended('cards.holder ' || ordered.citizen_id::text, 0));
    IF cards.stage_of(ordered.card_id) > 5 THEN
        RETURN 4;
    END IF;
    at_once := ordered.point_id IS NULL;
    first_state := CASE WHEN at_once THEN 1 ELSE 2 END;
    IF at_once THEN
        PERFORM cards.replace_others(
            ordered.card_id, ordered.citizen_id, ordered.represents, 1::smallint,
            'station ' || p_station_id
        );
    END IF;
    PERFORM cards.note_report(ordered.card_id, 'station ' || p_station_id, at_once);
    INSERT INTO cards.card (
        card_id, card_number, holder_id, issuer_region, state, valid_to,
        public_key_tap, public_key_pin, certificate_tap, certificate_pin, issued_at,
        represents, pin_is_transport
    ) VALUES (
        ordered.card_id, ordered.card_number, ordered.citizen_id, ordered.issuer_region,
        first_state, ordered.valid_to, p_public_key_tap, p_public_key_pin, p_certificate_tap,
        p_certificate_pin, p_issued_at, ordered.represents, p_pin_is_transport
    );
    WITH represented AS (
        SELECT
            rights.bucket_of(r.holder_id) AS bucket, r.holder_id, r.scope, r.valid_from,
            least(r.valid_to, ordered.valid_to) AS valid_to
        FROM register.represented_by(ordered.citizen_id, p_on) AS r
        WHERE
            r.valid_from <= ordered.valid_to
            AND (ordered.represents IS NULL OR r.holder_id = ordered.represents)
    ),

    here AS (
        INSERT INTO rights.card_authority (
            bucket, holder_id, card_id, region, scope, valid_from, valid_to, card_state,
            card_valid_to
        )
        SELECT
            r.bucket, r.holder_id, ordered.card_id, ordered.issuer_region, r.scope, r.valid_from,
            r.valid_to, first_state, ordered.valid_to
        FROM represented AS r
        CROSS JOIN rights.target AS t
        WHERE r.bucket BETWEEN t.first_bucket AND t.last_bucket
    ),

    elsewhere AS (
        INSERT INTO cards.authority_elsewhere (
            card_id, bucket, holder_id, scope, valid_from, valid_to
        )
        SELECT ordered.card_id, r.bucket, r.holder_id, r.scope, r.valid_from, r.valid_to
        FROM represented AS r
        CROSS JOIN rights.target AS t
        WHERE r.bucket NOT BETWEEN t.first_bucket AND t.last_bucket
    )

    INSERT INTO cards.delivery (card_id, version)
    SELECT ordered.card_id, 1 FROM rights.target AS t WHERE t.targets > 1;
    UPDATE cards.card_order AS o SET state = 2, issued_at = p_issued_at, issued_on = p_on
    WHERE o.order_id = p_order_id;
    IF at_once THEN
        PERFORM cards.serve_application(
            ordered.order_id, ordered.citizen_id, ordered.represents, 'station ' || p_station_id
        );
    END IF;
    RETURN 1;
END
$$;
REVOKE ALL ON FUNCTION cards.issue_card(
    uuid, text, bytea, bytea, bytea, bytea, timestamptz, date, boolean
) FROM public;
GRANT EXECUTE ON FUNCTION cards.issue_card(
    uuid, text, bytea, bytea, bytea, bytea, timestamptz, date, boolean
) TO spk_issuing;
