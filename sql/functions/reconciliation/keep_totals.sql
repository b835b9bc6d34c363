-- Keep what a terminal counted beside what the databases counted together, each in the order of
-- reconciliation.totals_of. For a centre with several databases: reconciliation.settle_terminal
-- counts in one alone.
CREATE OR REPLACE FUNCTION reconciliation.keep_totals(
    p_terminal_id text, p_business_date date, p_stan integer, p_received_at timestamptz,
    p_terminal bigint[], p_centre bigint[]
) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO reconciliation.terminal_totals
    SELECT
        p_terminal_id, p_business_date, p_stan, p_received_at, p_terminal[1], p_terminal[2],
        p_terminal[3], p_terminal[4], p_terminal[5], p_terminal[6], p_terminal[7], p_terminal[8],
        p_centre[1], p_centre[2], p_centre[3], p_centre[4], p_centre[5], p_centre[6], p_centre[7],
        p_centre[8]
    ON CONFLICT DO NOTHING
$$;
