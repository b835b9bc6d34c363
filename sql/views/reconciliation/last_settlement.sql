-- The totals each terminal sent last for a business date (0500), beside what the centre counts
-- now: a late advice after a settlement in balance shows as a difference.
CREATE OR REPLACE VIEW reconciliation.last_settlement AS
SELECT
    s.business_date,
    s.terminal_id,
    s.received_at,
    s.terminal_approved_count,
    s.terminal_gross_kopecks,
    s.terminal_covered_kopecks,
    s.terminal_paid_kopecks,
    s.terminal_reversed_count,
    s.terminal_reversed_covered_kopecks,
    s.terminal_returned_count,
    s.terminal_returned_covered_kopecks,
    c.approved_count AS centre_approved_count,
    c.gross_kopecks AS centre_gross_kopecks,
    c.covered_kopecks AS centre_covered_kopecks,
    c.paid_kopecks AS centre_paid_kopecks,
    c.reversed_count AS centre_reversed_count,
    c.reversed_covered_kopecks AS centre_reversed_covered_kopecks,
    c.returned_count AS centre_returned_count,
    c.returned_covered_kopecks AS centre_returned_covered_kopecks
FROM (
    SELECT DISTINCT ON (t.business_date, t.terminal_id) t.*
    FROM reconciliation.terminal_totals AS t
    ORDER BY t.business_date ASC, t.terminal_id ASC, t.received_at DESC, t.stan DESC
) AS s
CROSS JOIN LATERAL reconciliation.totals_of(s.terminal_id, s.business_date) AS c;

GRANT SELECT ON reconciliation.last_settlement TO spk_finance;
