-- What is against a completion before its lines are looked at: a reason, with its facts; both NULL
-- if it completes an open reservation, which is ended then and there.
CREATE OR REPLACE FUNCTION engine.end_for_completion(
    p_request engine.request, p_original journal.event, OUT reason smallint, OUT facts jsonb
)
LANGUAGE plpgsql AS $$
DECLARE
    field text;
    state text;
BEGIN
    field := CASE
        WHEN p_request.parent_terminal_id <> p_request.terminal_id THEN 'parent'
        WHEN p_request.parent_message_class <> 1 THEN 'kind'
    END;
    IF p_request.closed THEN
        reason := 204;
    ELSIF field IS NULL AND p_request.parent_business_date < journal.closed_before() THEN
        state := 'archived';
    ELSIF field IS NULL AND p_original.stan IS NULL THEN
        state := 'unknown';
    ELSIF field IS NULL AND p_original.outcome = 204 THEN
        state := 'reversed';
    ELSIF field IS NULL THEN
        field := CASE
            WHEN (p_original.card_id, p_original.holder_id, p_original.bucket)
                IS DISTINCT FROM (p_request.card_id, p_request.holder_id, p_request.bucket)
                THEN 'card or holder'
            WHEN p_original.kind <> 2 THEN 'kind'
            WHEN p_original.service <> p_request.service THEN 'service'
        END;
        IF field IS NULL THEN
            state := CASE
                WHEN p_original.covered_kopecks IS NULL THEN 'declined'
                WHEN NOT coalesce(p_original.facts ? 'expires', FALSE) THEN 'conflict'
                ELSE engine.end_reservation(p_original)
            END;
        END IF;
    END IF;
    IF field IS NOT NULL AND reason IS NULL THEN
        reason := 502;
        facts := jsonb_build_object('field', field);
    ELSIF state IS NOT NULL THEN
        reason := 501;
        facts := jsonb_build_object('original', state);
    END IF;
END
$$;

-- The first line that asks for something else or for more than p_parts have, with the reason and
-- facts: `remaining` is what they have of it. None if all lines fit.
CREATE OR REPLACE FUNCTION engine.line_fault(
    p_lines engine.line[], p_parts journal.line[], OUT reason smallint, OUT facts jsonb
)
LANGUAGE sql STABLE AS $$
    SELECT
        CASE WHEN f.fits THEN 405 ELSE 502 END::smallint,
        CASE WHEN f.fits
            THEN jsonb_build_object('line', f.line_no::text, 'item', f.item, 'remaining', f.has::text)
            ELSE jsonb_build_object('field', 'item', 'line', f.line_no::text, 'item', f.item)
        END
    FROM (
        SELECT
            l.line_no, l.item, coalesce(q.quantity, 0) AS has, engine.line_fits(l, q.item) AS fits,
            l.quantity > q.quantity OR l.gross_kopecks > q.gross_kopecks AS more
        FROM unnest(p_lines) AS l
        LEFT JOIN (
            SELECT p.line_no, min(p.item) AS item, sum(p.quantity) AS quantity,
                sum(p.gross_kopecks) AS gross_kopecks
            FROM unnest(p_parts) AS p
            GROUP BY p.line_no
        ) AS q ON l.line_no = q.line_no
    ) AS f
    WHERE NOT f.fits OR f.more
    ORDER BY f.line_no
    LIMIT 1
$$;

-- Whether a line is of this item, in the item's own unit, with numbers that make sense.
CREATE OR REPLACE FUNCTION engine.line_fits(p_line engine.line, p_item text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        p_line.item = p_item AND p_line.quantity >= 0 AND p_line.gross_kopecks >= 0
        AND (
            SELECT p_line.unit_okei = i.unit_okei AND p_line.scale = i.scale
            FROM regulations.item AS i WHERE i.item = p_item
        ),
        FALSE
    )
$$;

-- Record one completion of a reservation (docs/kinds.md): it keeps what it used of the hold, line
-- by line, and gives back the rest. It tells what happened, so it is never refused; its evidence is
-- the terminal's alone, so it never debits more than the card let hold: what is beyond is an excess
-- that nobody covers, and a conflict.
-- Raises 23505 when the reservation is being changed elsewhere at this moment.
CREATE OR REPLACE FUNCTION engine.complete(
    p_request engine.request, p_lines engine.line[], p_lane smallint, p_block bigint,
    p_place smallint, p_decided_at timestamptz, p_posting_date date, OUT answer engine.answer
)
LANGUAGE plpgsql AS $$
DECLARE
    original journal.event;
    lines engine.line [];
    reason smallint;
    facts jsonb;
    held journal.line [] := '{}';
    kept journal.line [] := '{}';
    used journal.line [];
    outcome smallint;
    covered bigint [];
    paid bigint [];
    approval_code text;
BEGIN
    SELECT e.* INTO original FROM engine.original_of(p_request) AS e;
    lines := array(
        SELECT l FROM unnest(p_lines) AS l
        WHERE l.ordinal = p_request.ordinal ORDER BY l.line_no
    );
    SELECT r.* INTO reason, facts FROM engine.end_for_completion(p_request, original) AS r;
    IF reason IS NULL THEN
        held := array(SELECT l FROM engine.lines_of(original) AS l ORDER BY l.line_no, l.part);
        SELECT f.* INTO reason, facts FROM engine.line_fault(lines, held) AS f;
        kept := array(
            SELECT k FROM engine.cut(
                held, engine.within(lines, held), original.service, original.service_version, FALSE
            ) AS k
        );
        PERFORM engine.claim(original, 1::smallint, p_request, NULL);
        PERFORM engine.return_debits(held || engine.negated(kept));
    END IF;
    outcome := CASE WHEN reason IS NULL THEN 703 ELSE 701 END;
    IF reason IS NOT NULL THEN
        facts := coalesce(facts, '{}') || jsonb_build_object('reason', reason::text);
    END IF;

    used := engine.used_parts(p_request, lines, held, kept);
    SELECT a.* INTO covered, paid FROM engine.amounts_of(used) AS a;
    approval_code := engine.write_event(
        p_request, p_lane, p_block, p_place, p_decided_at, p_posting_date,
        coalesce(original.local_date, p_posting_date), outcome, covered, paid, facts
    );
    PERFORM engine.write_lines(p_request, used || engine.released(held));
    answer := engine.answer_to(p_request, p_place, outcome, approval_code, covered, paid, facts);
END
$$;
