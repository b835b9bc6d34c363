-- Every record as it is now, of whatever kind: whose it is, its version, and the whole row. A query
-- names the citizen, the household or the change, which each table finds by an index.
CREATE OR REPLACE VIEW register.record AS
SELECT
    'citizen' AS kind,
    t.citizen_id AS record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.citizen AS t
UNION ALL
SELECT
    'identity_document' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.identity_document AS t
UNION ALL
SELECT
    'address' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.address AS t
UNION ALL
SELECT
    'contact' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.contact AS t
UNION ALL
SELECT
    'consent' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.consent AS t
UNION ALL
SELECT
    'representative' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.representative AS t
UNION ALL
SELECT
    'household' AS kind,
    t.household_id AS record_id,
    NULL::uuid AS citizen_id,
    t.household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.household AS t
UNION ALL
SELECT
    'household_member' AS kind,
    t.record_id,
    t.citizen_id,
    t.household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.household_member AS t
UNION ALL
SELECT
    'income' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.income AS t
UNION ALL
SELECT
    'circumstance' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.circumstance AS t
UNION ALL
SELECT
    'category' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.citizen_category AS t
UNION ALL
SELECT
    'life_event' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.life_event AS t
UNION ALL
SELECT
    'service_plan' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.service_plan AS t
UNION ALL
SELECT
    'service_plan_line' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.service_plan_line AS t
UNION ALL
SELECT
    'rehabilitation_plan' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.rehabilitation_plan AS t
UNION ALL
SELECT
    'rehabilitation_measure' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.rehabilitation_measure AS t
UNION ALL
SELECT
    'prescription' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.prescription AS t
UNION ALL
SELECT
    'certificate' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.certificate AS t
UNION ALL
SELECT
    'personal_account' AS kind,
    t.record_id,
    NULL::uuid AS citizen_id,
    t.household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.personal_account AS t
UNION ALL
SELECT
    'policy' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.policy AS t
UNION ALL
SELECT
    'school_meals' AS kind,
    t.record_id,
    t.citizen_id,
    NULL::uuid AS household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.school_meals AS t
UNION ALL
SELECT
    'entitlement' AS kind,
    t.record_id,
    t.citizen_id,
    t.household_id,
    t.version,
    t.change_id,
    t.recorded_at,
    to_jsonb(t) AS body
FROM register.entitlement AS t;
