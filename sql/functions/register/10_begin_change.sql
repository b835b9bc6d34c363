-- Open a change in this transaction and return its number. Whatever is written until the
-- transaction ends belongs to it. `p_approved_by` is another person than `p_by`, or NULL.
CREATE OR REPLACE FUNCTION register.begin_change(
    p_by text, p_reason text, p_source text, p_source_reference text DEFAULT NULL,
    p_approved_by text DEFAULT NULL, p_undoes bigint DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    opened bigint;
BEGIN
    INSERT INTO register.change (
        made_by, reason, source, source_reference, approved_by, approved_at, undoes
    ) VALUES (
        p_by, p_reason, p_source, p_source_reference, p_approved_by,
        CASE WHEN p_approved_by IS NOT NULL THEN clock_timestamp() END, p_undoes
    ) RETURNING change_id INTO opened;
    PERFORM register.continue_change(opened);
    RETURN opened;
END
$$;
