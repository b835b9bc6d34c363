-- Rule on the claims of a batch one request after the other, in batch order, taking from what the
-- allowances hold. Pure arithmetic over its argument: it reads and writes no table.
--
-- o_taken has one amount per claim. A request is whole or nothing in mode 1; in mode 2 it takes
-- what there is; in mode 3 (what already happened offline) it takes what there is and whatever is
-- wrong with it, other than its proof, becomes a conflict.
CREATE OR REPLACE FUNCTION engine.allot(
    p_claims engine.claim [], OUT o_taken bigint [], OUT o_rulings engine.ruling []
)
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    c engine.claim;
    -- what is left by slot, as this batch goes on
    remaining_by_slot bigint [] := '{}';
    slots integer [] := '{}';
    first_claim integer := 1;
    claim_no integer := 0;
    -- of the line at hand
    line_no smallint;
    needed bigint;
    taken_by_line bigint;
    -- of the request at hand
    lines integer := 0;
    lines_closed integer := 0;
    taken_by_request bigint := 0;
    malformed_claim integer;
    closed_claim integer;
    short_claim integer;
    short_remaining bigint;
    outcome smallint;
    amount bigint;
BEGIN
    o_taken := '{}';
    o_rulings := '{}';
    FOREACH c IN ARRAY p_claims LOOP
        claim_no := claim_no + 1;
        amount := 0;
        IF c.line_no IS NOT NULL AND c.refusal IS NULL THEN
            IF c.line_no IS DISTINCT FROM line_no THEN
                line_no := c.line_no;
                lines := lines + 1;
                needed := c.need;
                taken_by_line := 0;
            END IF;
            IF c.malformed THEN
                malformed_claim := coalesce(malformed_claim, claim_no);
            END IF;
            IF c.slot IS NULL THEN
                lines_closed := lines_closed + 1;
                closed_claim := coalesce(closed_claim, claim_no);
            ELSE
                IF remaining_by_slot[c.slot] IS NULL THEN
                    remaining_by_slot[c.slot] := c.remaining;
                END IF;
                amount := least(needed, remaining_by_slot[c.slot]);
                remaining_by_slot[c.slot] := remaining_by_slot[c.slot] - amount;
                needed := needed - amount;
                taken_by_line := taken_by_line + amount;
                taken_by_request := taken_by_request + amount;
                IF needed > 0 AND c.ends_line AND short_claim IS NULL THEN
                    short_claim := claim_no;
                    short_remaining := taken_by_line;
                END IF;
            END IF;
        END IF;
        o_taken[claim_no] := amount;
        slots[claim_no] := c.slot;

        IF c.ends_request THEN
            outcome := CASE
                WHEN c.refusal IS NOT NULL THEN c.refusal
                WHEN malformed_claim IS NOT NULL THEN 405
                WHEN lines > 0 AND lines_closed = lines THEN 601
                WHEN c.mode = 1 AND closed_claim IS NOT NULL THEN 601
                WHEN c.mode = 1 AND short_claim IS NOT NULL THEN 602
                WHEN short_claim IS NOT NULL AND taken_by_request = 0 THEN 602
                WHEN short_claim IS NOT NULL OR closed_claim IS NOT NULL THEN 702
                ELSE 703
            END;
            IF outcome < 700 THEN
                FOR i IN first_claim..claim_no LOOP
                    IF o_taken[i] > 0 THEN
                        remaining_by_slot[slots[i]] := remaining_by_slot[slots[i]] + o_taken[i];
                        o_taken[i] := 0;
                    END IF;
                END LOOP;
            END IF;
            o_rulings := o_rulings || ROW(
                c.ordinal,
                CASE WHEN c.mode = 3 AND outcome NOT IN (301, 302, 703) THEN 701 ELSE outcome END,
                CASE outcome
                    WHEN 405 THEN malformed_claim
                    WHEN 601 THEN closed_claim
                    ELSE coalesce(short_claim, closed_claim, claim_no)
                END,
                short_remaining
            )::engine.ruling;
            first_claim := claim_no + 1;
            line_no := NULL;
            lines := 0;
            lines_closed := 0;
            taken_by_request := 0;
            malformed_claim := NULL;
            closed_claim := NULL;
            short_claim := NULL;
            short_remaining := NULL;
        END IF;
    END LOOP;
END
$$;
