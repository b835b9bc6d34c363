-- Rule on the claims of a batch one request after the other, in batch order, taking from what the
-- allowances hold. Pure arithmetic over its argument: it reads and writes no table.
--
-- o_taken and o_unmet have one amount per claim: what it took, and what its line then still needed,
-- both in the unit of the claim's allowance. Kopecks that two allowances cover at different
-- percentages are converted where the line passes from one to the other, rounded so that no more
-- is covered than the line costs. A request is whole or nothing in mode 1; in mode 2 it takes
-- what there is; in mode 3 (what already happened offline) it takes what there is and whatever is
-- wrong with it becomes a conflict.
CREATE OR REPLACE FUNCTION engine.allot(
    p_claims engine.claim[],
    OUT o_taken bigint[], OUT o_unmet bigint[], OUT o_rulings engine.ruling[]
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
    line_need bigint;
    unmet bigint;
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
    o_unmet := '{}';
    o_rulings := '{}';
    FOREACH c IN ARRAY p_claims LOOP
        claim_no := claim_no + 1;
        amount := 0;
        unmet := CASE WHEN c.line_no IS NOT DISTINCT FROM line_no THEN unmet ELSE c.need END;
        IF c.line_no IS NOT NULL AND c.refusal IS NULL THEN
            IF c.line_no IS DISTINCT FROM line_no THEN
                line_no := c.line_no;
                lines := lines + 1;
                line_need := c.need;
                taken_by_line := 0;
            ELSIF c.need <> line_need AND c.need > 0 THEN
                unmet := CASE WHEN line_need = 0 THEN c.need
                    ELSE div(c.need::numeric * unmet, line_need) END;
                line_need := c.need;
            END IF;
            IF c.malformed THEN
                malformed_claim := coalesce(malformed_claim, claim_no);
            END IF;
            IF c.malformed THEN
                NULL;
            ELSIF c.slot IS NULL THEN
                lines_closed := lines_closed + 1;
                closed_claim := coalesce(closed_claim, claim_no);
            ELSE
                IF remaining_by_slot[c.slot] IS NULL THEN
                    remaining_by_slot[c.slot] := c.remaining;
                END IF;
                amount := CASE WHEN c.need = 0 THEN 0
                    ELSE least(unmet, remaining_by_slot[c.slot]) END;
                remaining_by_slot[c.slot] := remaining_by_slot[c.slot] - amount;
                unmet := unmet - amount;
                taken_by_line := taken_by_line + amount;
                taken_by_request := taken_by_request + amount;
                IF unmet > 0 AND c.ends_line AND short_claim IS NULL THEN
                    short_claim := claim_no;
                    short_remaining := taken_by_line;
                END IF;
            END IF;
        END IF;
        o_taken[claim_no] := amount;
        o_unmet[claim_no] := unmet;
        slots[claim_no] := c.slot;

        IF c.ends_request THEN
            outcome := CASE
                WHEN c.refusal IS NOT NULL THEN c.refusal
                WHEN c.line_no IS NULL AND c.consumes IS NOT NULL THEN 405
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
                CASE WHEN c.mode = 3 AND outcome <> 703 THEN 701 ELSE outcome END,
                CASE
                    WHEN c.mode <> 3 OR outcome <> 702 THEN outcome
                    WHEN short_claim IS NOT NULL THEN 602
                    ELSE 601
                END,
                CASE outcome
                    WHEN 405 THEN coalesce(malformed_claim, claim_no)
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
