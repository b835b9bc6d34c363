-- What is against a return before its lines are looked at: a reason, with its facts; both NULL if
-- goods may be brought back to this original here.
CREATE OR REPLACE FUNCTION engine.return_fault(
    p_request engine.request, p_original journal.event, OUT reason smallint, OUT facts jsonb
)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    field text;
    state text;
BEGIN
    IF p_request.parent_message_class <> 2 THEN
        field := 'kind';
    ELSIF p_request.parent_business_date < journal.closed_before() THEN
        state := 'archived';
    ELSIF p_original.stan IS NULL THEN
        state := 'unknown';
    ELSIF p_original.outcome = 204 OR journal.taken_back(p_original) THEN
        state := 'reversed';
    ELSE
        field := CASE
            WHEN (p_original.holder_id, p_original.bucket)
                IS DISTINCT FROM (p_request.holder_id, p_request.bucket) THEN 'holder'
            WHEN p_original.kind NOT IN (3, 4) THEN 'kind'
            WHEN p_original.service <> p_request.service THEN 'service'
            -- whoever was compensated for the sale is the one to give back
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

-- What would be left of p_standing after these lines came back: a target for each line. A line of
-- which the whole quantity comes back without its whole price, which no rule could price, is the
-- fault; so is a return of nothing.
CREATE OR REPLACE FUNCTION engine.left_after(
    p_lines engine.line[], p_standing journal.line[],
    OUT targets engine.line[], OUT reason smallint, OUT facts jsonb
)
LANGUAGE sql STABLE AS $$
    SELECT
        array_agg(ROW(
            q.ordinal, q.line_no, q.item, q.quantity, q.unit_okei, q.scale, q.gross_kopecks
        )::engine.line),
        CASE WHEN count(q.fault) > 0 OR sum(q.moves) = 0 THEN 405 END::smallint,
        CASE WHEN count(q.fault) > 0 OR sum(q.moves) = 0 THEN (
            array_agg(jsonb_build_object(
                'line', q.line_no::text, 'item', q.item, 'remaining', q.has::text
            ) ORDER BY q.fault, q.line_no)
        )[1] END
    FROM (
        SELECT
            l.ordinal, s.line_no, s.item, s.quantity AS has, l.unit_okei, l.scale,
            s.quantity - coalesce(l.quantity, 0) AS quantity,
            s.gross_kopecks - coalesce(l.gross_kopecks, 0) AS gross_kopecks,
            coalesce(l.quantity + l.gross_kopecks, 0) AS moves,
            CASE WHEN s.quantity = l.quantity AND s.gross_kopecks > l.gross_kopecks
                THEN 1 END AS fault
        FROM (
            SELECT p.line_no, min(p.item) AS item, sum(p.quantity)::bigint AS quantity,
                sum(p.gross_kopecks)::bigint AS gross_kopecks
            FROM unnest(p_standing) AS p
            GROUP BY p.line_no
        ) AS s
        LEFT JOIN unnest(p_lines) AS l ON s.line_no = l.line_no
    ) AS q
$$;

-- The parts of a return: p_after less p_before where they differ; a line that moved nothing, or all
-- of whose goods came back in conflict (p_after NULL), stands in part 100, covered by nobody.
CREATE OR REPLACE FUNCTION engine.returned_parts(
    p_lines engine.line[], p_before journal.line[], p_after journal.line[]
) RETURNS journal.line[]
LANGUAGE sql STABLE AS $$
    WITH moved AS (
        SELECT
            a.bucket, a.line_no, a.part, a.item, a.quantity - b.quantity AS quantity,
            a.gross_kopecks - b.gross_kopecks AS gross_kopecks,
            a.covered_kopecks - b.covered_kopecks AS covered_kopecks,
            a.paid_kopecks - b.paid_kopecks AS paid_kopecks,
            a.allowance_id, a.period_start, a.debited - b.debited AS debited,
            a.excess - b.excess AS excess, a.entitlement_id, a.measure, a.category, a.funding,
            a.tariff
        FROM unnest(p_after) AS a
        INNER JOIN unnest(p_before) AS b ON a.line_no = b.line_no AND a.part = b.part
        WHERE (a.quantity, a.gross_kopecks, a.debited, a.excess)
            <> (b.quantity, b.gross_kopecks, b.debited, b.excess)
    )
    SELECT array_agg(ROW(
        r.bucket, NULL, NULL, NULL, NULL, NULL, r.line_no, r.part, r.item, r.quantity,
        r.gross_kopecks, r.covered_kopecks, r.paid_kopecks, r.allowance_id, r.period_start,
        r.debited, r.excess, r.entitlement_id, r.measure, r.category, r.funding, r.tariff
    )::journal.line ORDER BY r.line_no, r.part)
    FROM (
        SELECT m.* FROM moved AS m
        UNION ALL
        SELECT
            NULL, l.line_no, 100, l.item, -l.quantity, -l.gross_kopecks, 0, -l.gross_kopecks, NULL,
            NULL, 0, 0, NULL, NULL, NULL, NULL, NULL
        FROM unnest(p_lines) AS l
        WHERE NOT EXISTS (SELECT FROM moved AS m WHERE m.line_no = l.line_no)
    ) AS r
$$;

-- Take goods back that were sold (docs/kinds.md): allowances, periods and money of what is brought
-- back, line by line, are what stood before less what stands after it. A request with anything
-- against it is refused; an advice that the card signed is recorded in conflict and gives nothing
-- back.
-- Raises 23505 when the sale is being changed elsewhere at this moment.
CREATE OR REPLACE FUNCTION engine.give_back(
    p_request engine.request, p_lines engine.line[], p_lane smallint, p_block bigint,
    p_place smallint, p_decided_at timestamptz, p_posting_date date, OUT answer engine.answer
)
LANGUAGE plpgsql AS $$
DECLARE
    judged record;
    original journal.event;
    child_no smallint;
    lines engine.line [];
    reason smallint;
    facts jsonb;
    targets engine.line [];
    before journal.line [];
    after journal.line [];
    moved journal.line [];
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
    reason := judged.refusal;
    IF reason IS NULL THEN
        SELECT e.* INTO original FROM engine.original_of(p_request) AS e;
        -- Before anything is told by the children: if there are more by then, the claim fails.
        child_no := engine.next_child(original);
        SELECT f.* INTO reason, facts FROM engine.return_fault(p_request, original) AS f;
    ELSE
        facts := engine.facts(
            p_request, reason, reason, NULL, NULL, NULL, NULL, NULL, NULL, NULL, judged.local_date,
            judged.card_valid_to, judged.latest_version, p_decided_at, p_posting_date, NULL
        );
    END IF;
    IF reason IS NULL THEN
        before := array(SELECT s FROM engine.standing(original) AS s);
        SELECT f.* INTO reason, facts FROM engine.line_fault(lines, before) AS f;
    END IF;
    IF reason IS NULL THEN
        SELECT t.* INTO targets, reason, facts FROM engine.left_after(lines, before) AS t;
    END IF;
    IF reason IS NULL THEN
        after := array(
            SELECT k FROM engine.cut(
                before, targets, original.service, original.service_version, TRUE
            ) AS k
        );
    END IF;

    outcome := CASE
        WHEN reason IS NULL THEN 703
        WHEN p_request.advice AND p_request.proof = 1 THEN 701
        ELSE reason
    END;
    IF outcome > 700 THEN
        moved := engine.returned_parts(lines, before, after);
        SELECT a.* INTO covered, paid FROM engine.amounts_of(engine.negated(moved)) AS a;
        PERFORM engine.write_lines(p_request, moved);
    END IF;
    IF outcome = 701 THEN
        facts := coalesce(facts, '{}') || jsonb_build_object('reason', reason::text);
    ELSIF outcome = 703 THEN
        PERFORM engine.claim(original, child_no, p_request, NULL);
        PERFORM engine.return_debits(engine.negated(moved));
    END IF;
    approval_code := engine.write_event(
        p_request, p_lane, p_block, p_place, p_decided_at, p_posting_date, judged.local_date,
        outcome, covered, paid, facts
    );
    answer := engine.answer_to(p_request, p_place, outcome, approval_code, covered, paid, facts);
END
$$;
