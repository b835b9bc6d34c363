-- Take back one transaction (docs/kinds.md). What still stands of the original returns to its
-- allowances and periods, and stands in the journal once more with the opposite sign; of a return,
-- it is debited anew, if all of it can be.
-- A reversal whose original is unknown closes the original's key, so that a late original is
-- refused (204); an original that was declined, taken back before or has expired leaves nothing to
-- do. Each of these is approved: the terminal's wish holds. Refused are a reversal that names
-- something else than the original or a completed reservation (502), and one whose original lies in
-- a closed month: nothing is taken back there any more (501).
-- Raises 23505 when the original is being decided, or changed, elsewhere at this moment.
CREATE OR REPLACE FUNCTION engine.reverse(
    p_request engine.request, p_lane smallint, p_block bigint, p_place smallint,
    p_decided_at timestamptz, p_posting_date date, OUT answer engine.answer, OUT written smallint
)
LANGUAGE plpgsql AS $$
DECLARE
    original journal.event;
    -- whose child this becomes: the original or, if that is a return, what was sold
    parent journal.event;
    member journal.child;
    undoes smallint := 0;
    child_no smallint := 1;
    state text;
    outcome smallint := 703;
    facts jsonb;
    -- what is taken back, and the parts that do so
    parts journal.line [];
    moved journal.line [];
    short journal.line;
    covered bigint [];
    paid bigint [];
    approval_code text;
    tombstone engine.request := p_request;
BEGIN
    SELECT e.* INTO original FROM engine.original_of(p_request) AS e;
    parent := original;
    written := 1;
    IF p_request.parent_terminal_id <> p_request.terminal_id
        OR p_request.parent_message_class = 4 THEN
        outcome := 502;
        facts := jsonb_build_object('field', 'parent');
    ELSIF p_request.parent_business_date < journal.closed_before() THEN
        outcome := 501;
        facts := jsonb_build_object('original', 'archived');
    ELSIF original.stan IS NULL THEN
        facts := jsonb_build_object('original', 'unknown');
        written := 2;
    ELSIF original.outcome = 204 THEN
        facts := jsonb_build_object('original', 'reversed');
    ELSIF (original.card_id, original.holder_id, original.bucket)
        IS DISTINCT FROM (p_request.card_id, p_request.holder_id, p_request.bucket) THEN
        outcome := 502;
        facts := jsonb_build_object('field', 'card or holder');
    ELSIF original.kind NOT IN (2, 3, 4, 5, 7, 8) THEN
        outcome := 502;
        facts := jsonb_build_object('field', 'kind');
    ELSIF original.covered_kopecks IS NULL THEN
        facts := jsonb_build_object('original', 'declined');
    ELSE
        IF original.kind = 5 THEN
            SELECT c.* INTO member FROM engine.member_of(original) AS c;
            IF member.child_no IS NOT NULL THEN
                undoes := member.child_no;
                SELECT e.* INTO parent FROM engine.parent_of(member) AS e;
            END IF;
        END IF;
        -- Before anything is told by the children: if there are more by then, the claim fails.
        child_no := engine.next_child(parent);
        IF journal.taken_back(original) OR journal.taken_back(parent) THEN
            state := 'reversed';
        ELSIF original.kind IN (2, 7) AND original.facts ? 'expires' THEN
            state := engine.end_reservation(original);
        END IF;
        IF state IS NULL THEN
            parts := array(SELECT s FROM engine.standing(original) AS s);
            moved := engine.negated(parts);
        ELSE
            outcome := CASE state WHEN 'completed' THEN 502 ELSE 703 END;
            facts := jsonb_build_object('original', state);
        END IF;
    END IF;

    IF parts IS NOT NULL AND original.kind = 5 THEN
        facts := jsonb_build_object('original', 'return');
        SELECT d.* INTO short FROM engine.debit_again(moved, original.holder_id) AS d;
        IF short.line_no IS NOT NULL THEN
            outcome := CASE WHEN p_request.advice THEN 701 ELSE 602 END;
            facts := engine.facts(
                p_request, outcome, 602::smallint, short.line_no, short.item, NULL, short.debited,
                NULL, NULL, NULL, NULL, NULL, NULL, p_decided_at, p_posting_date, NULL
            );
            parts := NULL;
        END IF;
    END IF;
    IF parts IS NOT NULL OR written = 2 THEN
        IF written = 2 THEN
            parent.bucket := p_request.bucket;
            parent.business_date := p_request.parent_business_date;
            parent.terminal_id := p_request.parent_terminal_id;
            parent.stan := p_request.parent_stan;
            parent.message_class := p_request.parent_message_class;
            parent.assigned := 0;
        END IF;
        PERFORM engine.claim(parent, child_no, p_request, undoes);
    END IF;
    IF parts IS NOT NULL THEN
        IF original.kind <> 5 THEN
            PERFORM engine.return_debits(parts);
        END IF;
        SELECT a.* INTO covered, paid
        FROM engine.amounts_of(CASE original.kind WHEN 5 THEN moved ELSE parts END) AS a;
        PERFORM engine.write_lines(p_request, moved);
    END IF;

    approval_code := engine.write_event(
        p_request, p_lane, p_block, p_place, p_decided_at, p_posting_date,
        coalesce(original.local_date, p_posting_date), outcome, covered, paid, facts
    );
    IF written = 2 THEN
        tombstone.business_date := p_request.parent_business_date;
        tombstone.stan := p_request.parent_stan;
        tombstone.message_class := p_request.parent_message_class;
        tombstone.assigned := 0;
        tombstone.request_digest := decode(repeat('00', 32), 'hex');
        PERFORM engine.write_event(
            tombstone, p_lane, p_block, (p_place + 1)::smallint, p_decided_at, p_posting_date,
            p_posting_date, 204::smallint, NULL, NULL, facts
        );
    END IF;
    answer := engine.answer_to(
        p_request, p_place, outcome, approval_code, covered, paid, facts
    );
END
$$;
