-- Change records at once, as one change; return its number. What creates rights takes a second
-- person and is refused here (exclusion_violation named `needs_second_person`): propose it.
CREATE OR REPLACE FUNCTION register.make_change(
    p_by text, p_reason text, p_source text, p_source_reference text, p_edits register.edit[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    made bigint;
BEGIN
    IF register.create_rights(p_edits) THEN
        RAISE EXCEPTION 'a change that creates rights takes a second person'
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'needs_second_person';
    END IF;
    made := register.begin_change(p_by, p_reason, p_source, p_source_reference);
    PERFORM register.apply_edits(p_edits);
    PERFORM cards.follow_change(made);
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION register.make_change(text, text, text, text, register.edit[]) FROM public;

-- Whether any of the edits is of a kind that rights rest on.
CREATE OR REPLACE FUNCTION register.create_rights(p_edits register.edit[]) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
SELECT EXISTS (
    SELECT FROM unnest(p_edits) AS e
    INNER JOIN register.record_kind AS k ON e.kind = k.kind
    WHERE k.creates_rights
);
$$;
REVOKE ALL ON FUNCTION register.create_rights(register.edit[]) FROM public, spk_register;
