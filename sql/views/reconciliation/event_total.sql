-- What each decision moved as it was answered and signed, whatever its lines say: the other side
-- of the check of an export. The amounts of a return and of a reversal are negative, those of a
-- return's reversal are not. A reservation is no money, nor is what ends it without a completion.
CREATE OR REPLACE VIEW reconciliation.event_total AS
SELECT
    a.business_date,
    a.posting_date,
    a.terminal_id,
    a.kind,
    a.sign * a.covered_kopecks AS covered_kopecks,
    a.sign * a.paid_kopecks AS paid_kopecks
FROM (
    SELECT
        e.business_date,
        e.posting_date,
        e.terminal_id,
        e.kind,
        CASE
            WHEN e.kind = 5 THEN -1
            WHEN e.kind = 6 AND e.facts ->> 'original' IS NULL THEN -1
            ELSE 1
        END AS sign,
        (SELECT sum(c)::bigint FROM unnest(e.covered_kopecks) AS c) AS covered_kopecks,
        (SELECT sum(p)::bigint FROM unnest(e.paid_kopecks) AS p) AS paid_kopecks
    FROM journal.event AS e
    WHERE
        e.covered_kopecks IS NOT NULL AND e.kind IN (3, 4, 5, 6, 8)
        AND (e.kind <> 6 OR e.parent_message_class = 2)
) AS a;

GRANT SELECT ON reconciliation.event_total TO spk_finance;
