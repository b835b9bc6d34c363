-- Rule on the claims of a batch one request after the other, in batch order, taking from what the
-- allowances hold. Pure arithmetic over its arguments: it reads and writes no table. The arrays
-- have an element for each claim, ordered by request, line and order of use.
--
-- Kopecks that two allowances cover at different percentages are converted where the line passes
-- from one to the other, rounded so that no more is covered than the line costs. A request is whole
-- or nothing in mode 1; in mode 2 it takes what there is; in mode 3 (what already happened offline)
-- it takes what there is and whatever is wrong with it becomes a conflict. A line draws on at most
-- 16 allowances (a named limit).
--
-- o_rulings: the outcome of each request; `reason` is what the outcome would be of a request that
-- had not happened yet. o_parts: the parts of the lines of what was given. Quantity and price of a
-- line are split where its need passes from one allowance to the next, each share being the
-- difference of the sums after and before it; so the parts of a line under one percentage cover
-- together exactly what the line, rounded once, is covered. What no allowance covers is the last
-- part; of an advice it is the excess, in the unit of the allowance that was short.
CREATE OR REPLACE FUNCTION engine.allot(
    p_claim_no integer[], p_slot integer[], p_ordinal smallint[], p_line_no smallint[],
    p_mode smallint[], p_refusal smallint[], p_consumes smallint[], p_malformed boolean[],
    p_need bigint[], p_remaining bigint[], p_refill_floor bigint[], p_quantity bigint[],
    p_gross_kopecks bigint[],
    OUT o_rulings engine.ruling[], OUT o_parts engine.part[]
)
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    last_claim integer := cardinality(p_claim_no);
    first_claim integer := 1;
    ends_line boolean;
    ends_request boolean;
    -- by claim: what it took, what its line then still needed, what its allowance then held
    taken bigint [] := '{}';
    unmet_after bigint [] := '{}';
    left_after bigint [] := '{}';
    -- what is left by slot, as this batch goes on
    held bigint [] := '{}';
    -- what was left by slot when the request at hand began, and which request that was
    began bigint [] := '{}';
    began_in integer [] := '{}';
    parts integer := 0;
    requests integer := 0;
    -- of the line at hand
    line_no smallint;
    line_need bigint;
    unmet bigint;
    amount bigint;
    takers integer;
    taken_by_line bigint;
    part smallint;
    quantity_before bigint;
    gross_before bigint;
    quantity_upto bigint;
    gross_upto bigint;
    -- of the request at hand
    lines integer := 0;
    lines_closed integer := 0;
    taken_by_request bigint := 0;
    malformed_claim integer;
    closed_claim integer;
    short_claim integer;
    short_remaining bigint;
    -- the claim of the line, and of the request, for which it is too early
    early_in_line integer;
    early_claim integer;
    outcome smallint;
BEGIN
    o_rulings := '{}';
    o_parts := '{}';
    FOR i IN 1..last_claim LOOP
        ends_request := i = last_claim OR p_ordinal[i + 1] <> p_ordinal[i];
        -- The usual request, one line that one allowance covers, is told by a few comparisons.
        IF i = first_claim AND ends_request AND p_line_no[i] IS NOT NULL
            AND p_slot[i] IS NOT NULL AND NOT p_malformed[i]
            AND p_need[i] BETWEEN 1 AND coalesce(held[p_slot[i]], p_remaining[i])
            AND (p_refill_floor[i] <= coalesce(held[p_slot[i]], p_remaining[i])) IS NOT FALSE THEN
            held[p_slot[i]] := coalesce(held[p_slot[i]], p_remaining[i]) - p_need[i];
            requests := requests + 1;
            o_rulings[requests] := ROW(p_ordinal[i], 703, 703, p_claim_no[i], NULL)::engine.ruling;
            parts := parts + 1;
            o_parts[parts] := ROW(
                p_claim_no[i], 1, p_quantity[i], 0, p_gross_kopecks[i], p_need[i], 0,
                held[p_slot[i]]
            )::engine.part;
            first_claim := i + 1;
            CONTINUE;
        END IF;
        amount := 0;
        IF p_line_no[i] IS NOT NULL AND p_refusal[i] IS NULL THEN
            ends_line := ends_request OR p_line_no[i + 1] <> p_line_no[i];
            IF line_no IS NULL OR line_no <> p_line_no[i] THEN
                line_no := p_line_no[i];
                lines := lines + 1;
                line_need := p_need[i];
                unmet := line_need;
                takers := 0;
                taken_by_line := 0;
                early_in_line := NULL;
            ELSIF p_need[i] <> line_need AND p_need[i] > 0 THEN
                unmet := CASE WHEN line_need = 0 THEN p_need[i]
                    ELSE div(p_need[i]::numeric * unmet, line_need) END;
                line_need := p_need[i];
            END IF;
            IF p_malformed[i] THEN
                malformed_claim := coalesce(malformed_claim, i);
            ELSIF p_consumes[i] = 4 THEN
                NULL;
            ELSIF p_slot[i] IS NULL THEN
                lines_closed := lines_closed + 1;
                closed_claim := coalesce(closed_claim, i);
            ELSE
                IF held[p_slot[i]] IS NULL THEN
                    held[p_slot[i]] := p_remaining[i];
                END IF;
                IF began_in[p_slot[i]] IS DISTINCT FROM requests THEN
                    began_in[p_slot[i]] := requests;
                    began[p_slot[i]] := held[p_slot[i]];
                END IF;
                IF began[p_slot[i]] < p_refill_floor[i] THEN
                    early_in_line := i;
                ELSIF p_need[i] > 0 AND takers < 16 THEN
                    amount := least(unmet, held[p_slot[i]]);
                END IF;
                IF amount > 0 THEN
                    held[p_slot[i]] := held[p_slot[i]] - amount;
                    unmet := unmet - amount;
                    takers := takers + 1;
                    taken_by_line := taken_by_line + amount;
                    taken_by_request := taken_by_request + amount;
                    left_after[i] := held[p_slot[i]];
                END IF;
                IF unmet > 0 AND ends_line AND short_claim IS NULL THEN
                    short_claim := coalesce(early_in_line, i);
                    early_claim := early_in_line;
                    short_remaining := CASE WHEN early_in_line IS NULL THEN taken_by_line
                        ELSE began[p_slot[early_in_line]] END;
                END IF;
            END IF;
            taken[i] := amount;
            unmet_after[i] := unmet;
        END IF;
        CONTINUE WHEN NOT ends_request;

        outcome := CASE
            WHEN p_refusal[i] IS NOT NULL THEN p_refusal[i]
            WHEN p_line_no[i] IS NULL AND p_consumes[i] IS NOT NULL THEN 405
            WHEN malformed_claim IS NOT NULL THEN 405
            WHEN lines > 0 AND lines_closed = lines THEN 601
            WHEN p_mode[i] = 1 AND closed_claim IS NOT NULL THEN 601
            WHEN short_claim IS NOT NULL AND (p_mode[i] = 1 OR taken_by_request = 0)
                THEN CASE WHEN early_claim IS NULL THEN 602 ELSE 603 END
            WHEN short_claim IS NOT NULL OR closed_claim IS NOT NULL THEN 702
            ELSE 703
        END;
        IF outcome < 700 AND taken_by_request > 0 THEN
            FOR k IN first_claim..i LOOP
                IF taken[k] > 0 THEN
                    held[p_slot[k]] := held[p_slot[k]] + taken[k];
                    taken[k] := 0;
                END IF;
            END LOOP;
        END IF;
        requests := requests + 1;
        o_rulings[requests] := ROW(
            p_ordinal[i],
            CASE WHEN p_mode[i] = 3 AND outcome <> 703 THEN 701 ELSE outcome END,
            CASE
                WHEN p_mode[i] <> 3 OR outcome <> 702 THEN outcome
                WHEN early_claim IS NOT NULL THEN 603
                WHEN short_claim IS NOT NULL THEN 602
                ELSE 601
            END,
            p_claim_no[CASE outcome
                WHEN 405 THEN coalesce(malformed_claim, i)
                WHEN 601 THEN coalesce(closed_claim, i)
                ELSE coalesce(short_claim, closed_claim, i)
            END],
            short_remaining
        )::engine.ruling;

        IF p_line_no[i] IS NOT NULL AND (outcome > 700 OR p_mode[i] = 3) THEN
            FOR k IN first_claim..i LOOP
                IF k = first_claim OR p_line_no[k] <> p_line_no[k - 1] THEN
                    part := 0;
                    quantity_before := 0;
                    gross_before := 0;
                    amount := 0;
                END IF;
                part := part + 1;
                IF taken[k] > 0 THEN
                    amount := p_need[k] - unmet_after[k];
                    quantity_upto := engine.share(p_quantity[k], amount, p_need[k]);
                    gross_upto := engine.share(p_gross_kopecks[k], amount, p_need[k]);
                    parts := parts + 1;
                    o_parts[parts] := ROW(
                        p_claim_no[k], part, quantity_upto - quantity_before, gross_before,
                        gross_upto - gross_before, taken[k], 0, left_after[k]
                    )::engine.part;
                    quantity_before := quantity_upto;
                    gross_before := gross_upto;
                END IF;
                CONTINUE WHEN k < i AND p_line_no[k + 1] = p_line_no[k];
                -- amount: what the line got so far, 0 if nothing
                IF amount = 0 OR unmet_after[k] > 0 THEN
                    parts := parts + 1;
                    o_parts[parts] := ROW(
                        p_claim_no[k], part + 1, p_quantity[k] - quantity_before, gross_before,
                        p_gross_kopecks[k] - gross_before, 0,
                        CASE
                            WHEN p_mode[k] <> 3 THEN 0
                            WHEN amount = 0 THEN coalesce(p_need[k], 0)
                            ELSE unmet_after[k]
                        END,
                        NULL
                    )::engine.part;
                END IF;
            END LOOP;
        END IF;
        first_claim := i + 1;
        line_no := NULL;
        lines := 0;
        lines_closed := 0;
        taken_by_request := 0;
        malformed_claim := NULL;
        closed_claim := NULL;
        short_claim := NULL;
        early_claim := NULL;
        short_remaining := NULL;
    END LOOP;
END
$$;
