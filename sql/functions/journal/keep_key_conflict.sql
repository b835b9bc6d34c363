-- Keep a number that was decided in several databases, for settlement; again is harmless. Runs as
-- the owner, so that whoever audits can add nothing else to the journal.
CREATE OR REPLACE FUNCTION journal.keep_key_conflict(
    p_business_date date, p_terminal_id text, p_stan integer, p_message_class smallint,
    p_lanes smallint[], p_blocks bigint[], p_ordinals smallint[], p_outcomes smallint[]
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    INSERT INTO journal.key_conflict (
        business_date, terminal_id, stan, message_class, lanes, blocks, ordinals, outcomes
    ) VALUES (
        p_business_date, p_terminal_id, p_stan, p_message_class, p_lanes, p_blocks, p_ordinals,
        p_outcomes
    )
    ON CONFLICT DO NOTHING
$$;
REVOKE ALL ON FUNCTION journal.keep_key_conflict(
    date, text, integer, smallint, smallint[], bigint[], smallint[], smallint[]
) FROM public;
GRANT EXECUTE ON FUNCTION journal.keep_key_conflict(
    date, text, integer, smallint, smallint[], bigint[], smallint[], smallint[]
) TO spk_operator;
