-- The bytes of an expiry, which nobody sends (docs/kinds.md, processing/wire/expiry.py): frozen.
CREATE OR REPLACE FUNCTION engine.expiry_bytes(
    p_reserve journal.event, p_expires_at timestamptz
) RETURNS bytea
LANGUAGE sql STABLE AS $$
    SELECT
        'spk/expiry'::bytea || '\x010000000000'::bytea
        || int4send(to_char(p_reserve.business_date, 'YYYYMMDD')::integer)
        || convert_to(p_reserve.terminal_id, 'UTF8') || int4send(p_reserve.stan)
        || set_byte('\x0000'::bytea, 0, p_reserve.message_class) || int2send(p_reserve.assigned)
        || p_reserve.request_digest
        || int8send((extract(EPOCH FROM p_expires_at) * 1000)::bigint)
$$;

-- The event that ends a reservation, as a request of the centre's own under the reservation's key
-- with message class 9.
CREATE OR REPLACE FUNCTION engine.expiry_of(
    p_reserve journal.event, p_expires_at timestamptz, p_decided_at timestamptz
) RETURNS engine.request
LANGUAGE sql STABLE AS $$
    SELECT
        NULL::smallint, p_reserve.bucket, p_reserve.business_date, p_reserve.terminal_id,
        p_reserve.stan, 9::smallint, p_reserve.assigned, FALSE, 9::smallint, FALSE, 0::smallint,
        0::smallint, p_reserve.card_id, p_reserve.holder_id, p_reserve.service,
        p_reserve.service_version, p_reserve.business_date, p_reserve.terminal_id,
        p_reserve.stan, p_reserve.message_class, p_decided_at, sha256(b.bytes), b.bytes,
        '\x'::bytea
    FROM engine.expiry_bytes(p_reserve, p_expires_at) AS b (bytes)
$$;

-- End reservations whose time is over, at most p_limit, the longest over first; returns how many
-- were ended. Each gets an event of its own in the block p_lane, p_block, which is not written if
-- none was due. What another session is ending at this moment is left to it, so that several may
-- do this at once. Raises 40001, 40P01 or 23505 when it met another; call again.
CREATE OR REPLACE FUNCTION engine.expire(
    p_lane smallint, p_block bigint, p_decided_at timestamptz, p_posting_date date,
    p_limit integer
) RETURNS integer
LANGUAGE plpgsql
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    due rights.reservation [];
    reservation rights.reservation;
    reserve journal.event;
    expiry engine.request;
    parts journal.line [];
    held journal.line [] := '{}';
    place smallint := 0;
BEGIN
    due := array(
        SELECT r FROM rights.reservation AS r
        WHERE r.expires_at <= p_decided_at
        ORDER BY r.expires_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    );
    FOREACH reservation IN ARRAY due LOOP
        SELECT e.* INTO STRICT reserve FROM journal.event AS e
        WHERE e.business_date = reservation.business_date
            AND e.terminal_id = reservation.terminal_id AND e.stan = reservation.stan
            AND e.message_class = 1 AND e.assigned = reservation.assigned;
        expiry := engine.expiry_of(reserve, reservation.expires_at, p_decided_at);
        parts := array(SELECT l FROM engine.lines_of(reserve) AS l);
        held := held || parts;
        PERFORM engine.end_reservation(reserve);
        PERFORM engine.claim(reserve, 1::smallint, expiry, NULL);
        PERFORM engine.write_event(
            expiry, p_lane, p_block, place, p_decided_at, p_posting_date, reserve.local_date,
            703::smallint, reserve.covered_kopecks, reserve.paid_kopecks, NULL
        );
        PERFORM engine.write_lines(expiry, engine.negated(parts));
        place := place + 1;
    END LOOP;
    IF place > 0 THEN
        -- All at once, in one order, as a batch of sales takes its counters.
        PERFORM engine.return_debits(held);
        INSERT INTO journal.block (lane, block, leaf_count, decided_at)
        VALUES (p_lane, p_block, place, p_decided_at);
    END IF;
    RETURN place;
END
$$;
