-- Keep applications as they were made (a jsonb array of rows); returns the ids of those that are
-- new. One that the event brought before, or that is open already, is left as it is.
CREATE OR REPLACE FUNCTION eligibility.keep_applications(p_rows jsonb, p_by text)
RETURNS SETOF uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
WITH kept AS (
    INSERT INTO eligibility.application (
        application_id, citizen_id, household_id, measure, rule_version, state, proactive, event_id,
        event_version, run_id, day, answer, trace, missing, choices, answer_by, decide_by, made_by,
        submitted_by
    )
    SELECT
        r.application_id, r.citizen_id, r.household_id, r.measure, r.rule_version, r.state,
        r.proactive, r.event_id, r.event_version, r.run_id, r.day, r.answer, r.trace, r.missing,
        coalesce(r.choices, '{}'), r.answer_by, r.decide_by, p_by,
        CASE r.state WHEN 'submitted' THEN p_by END
    FROM jsonb_populate_recordset(NULL::eligibility.application, p_rows) AS r
    ON CONFLICT DO NOTHING
    RETURNING application.application_id, application.state
), steps AS (
    INSERT INTO eligibility.application_step (application_id, step, state, by)
    SELECT k.application_id, 1, k.state, p_by FROM kept AS k
)

SELECT k.application_id FROM kept AS k;
$$;
-- Note a state that an application came to. For the owner's functions alone.
CREATE OR REPLACE FUNCTION eligibility.note_step(
    p_application_id uuid, p_state text, p_by text, p_reason text
) RETURNS void
LANGUAGE sql AS $$
INSERT INTO eligibility.application_step (application_id, step, state, by, reason)
SELECT p_application_id, coalesce(max(s.step), 0) + 1, p_state, p_by, p_reason
FROM eligibility.application_step AS s
WHERE s.application_id = p_application_id;
$$;
REVOKE ALL ON FUNCTION eligibility.note_step(uuid, text, text, text) FROM public, spk_register;
-- Bring an application to another state that grants nothing: offered, submitted, refused,
-- withdrawn. `p_until` is the day until which an offer waits, or a submitted one is decided.
-- Returns NULL, or what stands against it (processing.eligibility.applications.Refusal); then
-- nothing was written.
CREATE OR REPLACE FUNCTION eligibility.move(
    p_application_id uuid, p_state text, p_by text, p_reason text, p_choices jsonb, p_until date
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    held eligibility.application;
BEGIN
    SELECT a.* INTO held FROM eligibility.application AS a
    WHERE a.application_id = p_application_id FOR UPDATE;
    IF held.application_id IS NULL THEN
        RETURN 'no such application';
    ELSIF NOT ((held.state, p_state) IN (
        ('drafted', 'offered'), ('drafted', 'refused'), ('drafted', 'withdrawn'),
        ('offered', 'submitted'), ('offered', 'withdrawn'),
        ('submitted', 'refused'), ('submitted', 'withdrawn')
    )) THEN
        RETURN 'not in this state';
    ELSIF p_state = 'refused' AND p_by IN (held.made_by, held.submitted_by) THEN
        RETURN 'same person';
    END IF;
    UPDATE eligibility.application AS a SET
        state = p_state,
        choices = coalesce(p_choices, a.choices),
        answer_by = CASE p_state WHEN 'offered' THEN p_until ELSE a.answer_by END,
        decide_by = CASE p_state WHEN 'submitted' THEN p_until ELSE a.decide_by END,
        submitted_by = CASE p_state WHEN 'submitted' THEN p_by ELSE a.submitted_by END,
        decided_by = CASE p_state WHEN 'refused' THEN p_by END,
        decided_at = CASE p_state WHEN 'refused' THEN clock_timestamp() END,
        reason = p_reason
    WHERE a.application_id = p_application_id;
    PERFORM eligibility.note_step(p_application_id, p_state, p_by, p_reason);
    RETURN NULL;
END
$$;
-- Keep what the rule answers today of an open application: decisions stand upon it.
CREATE OR REPLACE FUNCTION eligibility.reassess(
    p_application_id uuid, p_rule_version integer, p_day date, p_answer text, p_trace jsonb,
    p_missing text[]
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
UPDATE eligibility.application AS a SET
    rule_version = p_rule_version, day = p_day, answer = p_answer, trace = p_trace,
    missing = p_missing
WHERE a.application_id = p_application_id AND a.state IN ('drafted', 'offered', 'submitted');
$$;
-- Grant what an application asks for: by a change of its own the entitlement in the register and
-- its allowances, on their way to whoever serves the holder (register.pass_rights_on), all in one
-- transaction. `p_rights` has holder_id, entitlement_id, category, valid_from, valid_to and
-- allowances (allowance_id, item_class, granted, period, priority). Returns (NULL, the decision's
-- number), or (what stands against it, NULL); then nothing was written.
CREATE OR REPLACE FUNCTION eligibility.grant_application(
    p_application_id uuid, p_by text, p_day date, p_rights jsonb,
    OUT against text, OUT decision text
) RETURNS record
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    held eligibility.application;
    granted CONSTANT uuid := (p_rights ->> 'entitlement_id')::uuid;
    change bigint;
BEGIN
    SELECT a.* INTO held FROM eligibility.application AS a
    WHERE a.application_id = p_application_id FOR UPDATE;
    IF held.application_id IS NULL THEN
        against := 'no such application';
    ELSIF NOT (held.state = 'submitted' OR (held.state = 'drafted' AND held.proactive)) THEN
        against := 'not in this state';
    ELSIF held.answer <> 'yes' THEN
        against := 'not entitled';
    ELSIF p_by IN (held.made_by, held.submitted_by) THEN
        against := 'same person';
    END IF;
    IF against IS NOT NULL THEN
        RETURN;
    END IF;
    decision := format(
        'МСП-%s-%s', extract(YEAR FROM p_day),
        lpad(nextval('eligibility.decision_number')::text, 6, '0')
    );
    BEGIN
        change := register.begin_change(
            held.made_by, format('%s: %s', decision, held.measure), 'eligibility',
            held.application_id::text, p_by
        );
        INSERT INTO register.entitlement (
            record_id, citizen_id, household_id, measure, category, decision_number, decided_on,
            valid_from, valid_to
        ) VALUES (
            granted, CASE WHEN held.household_id IS NULL THEN held.citizen_id END,
            held.household_id, held.measure, p_rights ->> 'category', decision, p_day,
            (p_rights ->> 'valid_from')::date, (p_rights ->> 'valid_to')::date
        );
    EXCEPTION WHEN exclusion_violation OR unique_violation THEN
        against := 'held already';
        decision := NULL;
        RETURN;
    END;
    PERFORM eligibility.pass_allowances(held.measure, p_rights);
    PERFORM register.pass_rights_on(change);
    UPDATE eligibility.application AS a SET
        state = 'decided', decided_by = p_by, decided_at = clock_timestamp(),
        decision_number = decision, entitlement_id = granted
    WHERE a.application_id = p_application_id;
    PERFORM eligibility.note_step(p_application_id, 'decided', p_by, decision);
END
$$;
-- Send the allowances of an entitlement on their way, as part of the change that grants it; what a
-- unit is and who pays stands in the directory. For the owner's functions alone.
CREATE OR REPLACE FUNCTION eligibility.pass_allowances(p_measure text, p_rights jsonb)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO register.rights_delivery (bucket, change_id, action, body)
    SELECT
        rights.bucket_of((p_rights ->> 'holder_id')::uuid), register.current_change(),
        'allowance',
        a.body || jsonb_build_object(
            'bucket', rights.bucket_of((p_rights ->> 'holder_id')::uuid),
            'holder_id', p_rights -> 'holder_id', 'entitlement_id', p_rights -> 'entitlement_id',
            'measure', p_measure, 'category', p_rights -> 'category', 'funding', m.funding,
            'unit_okei', i.unit_okei, 'scale', i.scale,
            'valid_from', p_rights -> 'valid_from', 'valid_to', p_rights -> 'valid_to'
        )
    FROM jsonb_array_elements(p_rights -> 'allowances') AS a (body)
    INNER JOIN regulations.measure AS m ON m.measure = p_measure
    INNER JOIN LATERAL (
        SELECT t.unit_okei, t.scale FROM regulations.item AS t
        WHERE t.item_class = a.body ->> 'item_class' ORDER BY t.item LIMIT 1
    ) AS i ON TRUE;
END
$$;
REVOKE ALL ON FUNCTION eligibility.pass_allowances(text, jsonb) FROM public, spk_register;
