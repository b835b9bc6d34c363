-- The replay rule, before every other: look for each request's key in the journal.
-- The same content gives the stored decision again. Other content under the key gives 201, or 204
-- if a reversal closed the key before the request came. An advice reports what already happened:
-- when its key is taken it is decided all the same, under a key that the centre assigns; if what
-- took the key is the reversal of this very card and holder, the advice is marked as closed.
-- A key of a closed month may have been decided in rows that were archived since: nothing is
-- decided under it any more, nothing stored (203), an advice included.
-- `answer` is NULL for a request that is still to be decided, under `request.assigned`.
CREATE OR REPLACE FUNCTION engine.recall(
    p_requests engine.request[]
) RETURNS SETOF engine.recalled
LANGUAGE sql STABLE ROWS 256 AS $$
    SELECT
        ROW(
            r.ordinal, r.bucket, r.business_date, r.terminal_id, r.stan, r.message_class,
            coalesce(taken.assigned + 1, 0), coalesce(taken.closed_to_card, FALSE), r.kind,
            r.advice, r.evidence, r.proof, r.card_id, r.holder_id, r.service, r.service_version,
            r.parent_business_date, r.parent_terminal_id, r.parent_stan, r.parent_message_class, r.signed_at,
            r.request_digest, r.request, r.signature
        )::engine.request,
        CASE
            WHEN same.outcome IS NOT NULL THEN ROW(
                r.ordinal, TRUE, same.outcome, same.approval_code, same.posting_date,
                same.decided_at, same.lane, same.block, same.ordinal, same.covered_kopecks,
                same.paid_kopecks, same.facts, NULL
            )::engine.answer
            WHEN r.business_date < (SELECT journal.closed_before()) THEN ROW(
                r.ordinal, FALSE, 203, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
            )::engine.answer
            WHEN taken.closed AND NOT r.advice THEN ROW(
                r.ordinal, FALSE, 204, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
            )::engine.answer
            WHEN taken.assigned IS NOT NULL AND NOT r.advice THEN ROW(
                r.ordinal, FALSE, 201, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
            )::engine.answer
        END
    FROM unnest(p_requests) AS r
    LEFT JOIN LATERAL (
        SELECT e.*
        FROM journal.event AS e
        WHERE e.business_date = r.business_date AND e.terminal_id = r.terminal_id
            AND e.stan = r.stan AND e.message_class = r.message_class
            AND e.request_digest = r.request_digest
        LIMIT 1
    ) AS same ON TRUE
    LEFT JOIN LATERAL (
        SELECT
            max(e.assigned) AS assigned, bool_or(e.outcome = 204) AS closed,
            bool_or(
                e.outcome = 204 AND e.card_id = r.card_id AND e.holder_id = r.holder_id
            ) AS closed_to_card
        FROM journal.event AS e
        WHERE e.business_date = r.business_date AND e.terminal_id = r.terminal_id
            AND e.stan = r.stan AND e.message_class = r.message_class
    ) AS taken ON TRUE
$$;
