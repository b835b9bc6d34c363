-- Applications for a list: no names, no facts. Keyset: after an id.
CREATE OR REPLACE FUNCTION eligibility.applications(
    p_states text[], p_citizen_id uuid, p_run_id bigint, p_after uuid, p_limit integer
) RETURNS TABLE (
    application_id uuid, citizen_id uuid, measure text, rule_version integer, state text,
    proactive boolean, answer text, missing text[], answer_by date, decide_by date,
    decision_number text, reason text
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT
    a.application_id, a.citizen_id, a.measure, a.rule_version, a.state, a.proactive, a.answer,
    a.missing, a.answer_by, a.decide_by, a.decision_number, a.reason
FROM eligibility.application AS a
WHERE a.state = ANY (p_states)
    AND (p_citizen_id IS NULL OR a.citizen_id = p_citizen_id)
    AND (p_run_id IS NULL OR a.run_id = p_run_id)
    AND (p_after IS NULL OR a.application_id > p_after)
ORDER BY a.application_id
LIMIT p_limit;
$$;
-- One application as a decision needs it; no row: there is none.
CREATE OR REPLACE FUNCTION eligibility.application_of(p_application_id uuid)
RETURNS TABLE (
    application_id uuid, citizen_id uuid, household_id uuid, measure text, state text,
    proactive boolean, run_id bigint, happened_on date, choices jsonb
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT
    a.application_id, a.citizen_id, a.household_id, a.measure, a.state, a.proactive, a.run_id,
    l.happened_on, a.choices
FROM eligibility.application AS a
LEFT JOIN register.life_event AS l ON a.event_id = l.record_id
WHERE a.application_id = p_application_id;
$$;
-- The trace that is kept with an application, and the document that was asked; the read is noted.
-- No row: there is none.
CREATE OR REPLACE FUNCTION eligibility.trace_of(p_application_id uuid, p_by text, p_purpose text)
RETURNS TABLE (measure text, body bytea, day date, answer text, trace jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO register.read_log (read_by, purpose, way, citizen_id, kinds)
    SELECT p_by, p_purpose, 'eligibility', a.citizen_id, '{eligibility}'
    FROM eligibility.application AS a WHERE a.application_id = p_application_id;
    RETURN QUERY
    SELECT a.measure, d.body, a.day, a.answer, a.trace
    FROM eligibility.application AS a
    INNER JOIN eligibility.document AS d
        ON a.measure = d.measure AND a.rule_version = d.version
    WHERE a.application_id = p_application_id;
END
$$;
-- Who approves the rights of a run: once, and another person than who started it.
-- Returns NULL, or what stands against it.
CREATE OR REPLACE FUNCTION eligibility.approve_run(p_run_id bigint, p_by text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    found eligibility.run;
BEGIN
    SELECT r.* INTO found FROM eligibility.run AS r WHERE r.run_id = p_run_id FOR UPDATE;
    IF found.run_id IS NULL THEN
        RETURN 'no such run';
    ELSIF found.started_by = p_by THEN
        RETURN 'same person';
    ELSIF found.approved_by <> p_by THEN
        RETURN 'approved already';
    END IF;
    UPDATE eligibility.run AS r SET approved_by = p_by, approved_at = clock_timestamp()
    WHERE r.run_id = p_run_id AND r.approved_by IS NULL;
    RETURN NULL;
END
$$;
