-- The challenge in the bytes that a card signed (digest v1), as facts show it: hexadecimal.
CREATE OR REPLACE FUNCTION engine.challenge_of(p_request bytea) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN encode(substring(p_request FROM 93 FOR get_byte(p_request, 91)), 'hex');

-- What is against a finish before its lines are looked at: a reason, with its facts; both NULL if
-- the visit that it names may be finished here. Whether it still lasts is told last, when it ends.
CREATE OR REPLACE FUNCTION engine.finish_fault(
    p_request engine.request, p_original journal.event, OUT reason smallint, OUT facts jsonb
)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    field text;
    state text;
BEGIN
    IF p_request.parent_message_class <> 1 THEN
        field := 'kind';
    ELSIF p_request.parent_business_date < journal.closed_before() THEN
        state := 'archived';
    ELSIF p_original.stan IS NULL THEN
        state := 'unknown';
    ELSIF p_original.outcome = 204 THEN
        state := 'reversed';
    ELSE
        field := CASE
            WHEN (p_original.holder_id, p_original.bucket)
                IS DISTINCT FROM (p_request.holder_id, p_request.bucket) THEN 'holder'
            WHEN p_original.kind <> 7 THEN 'kind'
            WHEN p_original.service <> p_request.service THEN 'service'
            -- one may begin at the desk and be finished in the doctor's room
            WHEN (
                SELECT t.provider_id FROM terminals.terminal AS t
                WHERE t.terminal_id = p_request.terminal_id
            ) IS DISTINCT FROM (
                SELECT t.provider_id FROM terminals.terminal AS t
                WHERE t.terminal_id = p_original.terminal_id
            ) THEN 'parent'
        END;
        IF field IS NULL AND p_original.covered_kopecks IS NULL THEN
            state := 'declined';
        ELSIF field IS NULL AND engine.challenge_of(p_request.request)
            IS DISTINCT FROM p_original.facts ->> 'challenge' THEN
            field := 'challenge';
        ELSIF field IS NULL
            AND p_request.signed_at > (p_original.facts ->> 'expires')::timestamptz THEN
            -- too long, though nothing has ended it yet
            state := 'expired';
        END IF;
    END IF;
    IF field IS NOT NULL THEN
        reason := 502;
        facts := jsonb_build_object('field', field);
    ELSIF state IS NOT NULL THEN
        reason := 501;
        facts := jsonb_build_object('original', state);
    END IF;
END
$$;

-- The first line with which more minutes are asked for than passed from start to finish, begun
-- ones included; `remaining` is what passed. None if the visit lasted long enough.
CREATE OR REPLACE FUNCTION engine.minutes_fault(
    p_lines engine.line[], p_from timestamptz, p_to timestamptz,
    OUT reason smallint, OUT facts jsonb
)
LANGUAGE sql STABLE AS $$
    SELECT
        405::smallint,
        jsonb_build_object('line', l.line_no::text, 'item', l.item, 'remaining', v.minutes::text)
    FROM (
        SELECT l.*, sum(l.quantity) OVER (ORDER BY l.line_no) AS upto
        FROM unnest(p_lines) AS l
        -- 355: minutes
        WHERE l.unit_okei = 355 AND l.scale = 0
    ) AS l
    CROSS JOIN (
        SELECT greatest(0, ceil(extract(EPOCH FROM p_to - p_from) / 60))::bigint AS minutes
    ) AS v
    WHERE l.upto > v.minutes
    ORDER BY l.line_no
    LIMIT 1
$$;

-- Finish one visit (docs/kinds.md): it keeps what it used of what its start held, line by line,
-- and gives back the rest. The card signs it, with the challenge that the centre gave the start. A
-- request with anything against it is refused, and the visit goes on; an advice that the card
-- signed is recorded in conflict, all of it in excess.
-- Raises 23505 when the visit is being changed elsewhere at this moment.
CREATE OR REPLACE FUNCTION engine.finish(
    p_request engine.request, p_lines engine.line[], p_lane smallint, p_block bigint,
    p_place smallint, p_decided_at timestamptz, p_posting_date date, OUT answer engine.answer
)
LANGUAGE plpgsql AS $$
DECLARE
    judged record;
    original journal.event;
    lines engine.line [];
    reason smallint;
    facts jsonb;
    state text;
    held journal.line [] := '{}';
    kept journal.line [] := '{}';
    used journal.line [];
    outcome smallint;
    covered bigint [];
    paid bigint [];
    approval_code text;
BEGIN
    lines := array(
        SELECT l FROM unnest(p_lines) AS l
        WHERE l.ordinal = p_request.ordinal ORDER BY l.line_no
    );
    SELECT j.* INTO judged FROM engine.judge(
        ARRAY[p_request], ARRAY[p_request.terminal_id], ARRAY[p_request.service], p_decided_at,
        p_posting_date
    ) AS j;
    SELECT e.* INTO original FROM engine.original_of(p_request) AS e;
    reason := judged.refusal;
    IF reason IS NULL THEN
        SELECT f.* INTO reason, facts FROM engine.finish_fault(p_request, original) AS f;
    ELSE
        facts := engine.facts(
            p_request, reason, reason, NULL, NULL, NULL, NULL, NULL, NULL, NULL, judged.local_date,
            judged.card_valid_to, judged.latest_version, p_decided_at, p_posting_date, NULL
        );
    END IF;
    IF reason IS NULL THEN
        held := array(SELECT l FROM engine.lines_of(original) AS l ORDER BY l.line_no, l.part);
        SELECT f.* INTO reason, facts FROM engine.line_fault(lines, held) AS f;
    END IF;
    IF reason IS NULL AND NOT EXISTS (
        SELECT FROM unnest(lines) AS l WHERE l.quantity > 0
    ) THEN
        -- a visit in which nothing was done is taken back, not finished
        reason := 405;
    END IF;
    IF reason IS NULL THEN
        SELECT f.* INTO reason, facts
        FROM engine.minutes_fault(lines, original.signed_at, p_request.signed_at) AS f;
    END IF;
    IF reason IS NULL THEN
        state := engine.end_reservation(original);
        IF state IS NOT NULL THEN
            reason := 501;
            facts := jsonb_build_object('original', state);
        END IF;
    END IF;

    outcome := CASE
        WHEN reason IS NULL THEN 703
        WHEN p_request.advice AND p_request.proof = 1 THEN 701
        ELSE reason
    END;
    IF outcome = 703 THEN
        kept := array(
            SELECT k FROM engine.cut(
                held, engine.within(lines, held), original.service, original.service_version, FALSE
            ) AS k
        );
        PERFORM engine.claim(original, 1::smallint, p_request, NULL);
        PERFORM engine.return_debits(held || engine.negated(kept));
    ELSE
        held := '{}';
    END IF;
    IF outcome = 701 THEN
        facts := coalesce(facts, '{}') || jsonb_build_object('reason', reason::text);
    END IF;
    IF outcome > 700 THEN
        used := engine.used_parts(p_request, lines, held, kept);
        SELECT a.* INTO covered, paid FROM engine.amounts_of(used) AS a;
        PERFORM engine.write_lines(p_request, used || engine.released(held));
    END IF;
    approval_code := engine.write_event(
        p_request, p_lane, p_block, p_place, p_decided_at, p_posting_date,
        coalesce(judged.local_date, p_posting_date), outcome, covered, paid, facts
    );
    answer := engine.answer_to(p_request, p_place, outcome, approval_code, covered, paid, facts);
END
$$;
