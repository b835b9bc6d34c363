-- Have the planner look each row up through an index, in nested loops: it sees neither the size of
-- an array nor that of a fresh partition, and would guess. A session of the centre is opened with
-- these settings; where one was not, they hold to the end of the transaction.
CREATE OR REPLACE FUNCTION engine.plan_by_index() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('plan_cache_mode') <> 'force_generic_plan' THEN
        PERFORM
            set_config('enable_seqscan', 'off', TRUE), set_config('enable_hashjoin', 'off', TRUE),
            set_config('enable_mergejoin', 'off', TRUE), set_config('jit', 'off', TRUE),
            set_config('plan_cache_mode', 'force_generic_plan', TRUE);
    END IF;
END
$$;
