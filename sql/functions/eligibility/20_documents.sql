-- The codes that a rule may refer to, each with its names.
CREATE OR REPLACE FUNCTION eligibility.directory()
RETURNS TABLE (measures jsonb, categories jsonb, parameters jsonb, item_classes jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT
    (
        SELECT jsonb_object_agg(m.measure, jsonb_build_array(m.name_ru, m.name_en))
        FROM regulations.measure AS m
    ),
    (
        SELECT jsonb_object_agg(c.category, jsonb_build_array(c.name_ru, c.name_en))
        FROM register.benefit_category AS c
    ),
    (
        SELECT jsonb_object_agg(p.parameter, jsonb_build_array(p.name_ru, p.name_en))
        FROM eligibility.parameter AS p
    ),
    (
        SELECT jsonb_object_agg(i.item_class, jsonb_build_object(
            'unit_okei', i.unit_okei, 'scale', i.scale
        ))
        FROM regulations.item AS i
    );
$$;
-- Keep a draft of a rule for a second person to look at. A draft that nobody approved yet is
-- replaced; what was approved is never changed. Its number is the next after the approved ones.
-- Returns NULL, or what stands against it (processing.regulations.publication.Refusal); then
-- nothing was written.
CREATE OR REPLACE FUNCTION eligibility.propose(
    p_measure text, p_version integer, p_body bytea, p_valid_from date, p_valid_to date, p_by text
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF p_version <> 1 + coalesce((
        SELECT max(d.version) FROM eligibility.document AS d
        WHERE d.measure = p_measure AND d.approved_by IS NOT NULL
    ), 0) THEN
        RETURN 'not the next version';
    END IF;
    INSERT INTO eligibility.document (
        measure, version, body, body_sha256, valid_from, valid_to, proposed_by, proposed_at
    ) VALUES (
        p_measure, p_version, p_body, sha256(p_body), p_valid_from, p_valid_to, p_by,
        clock_timestamp()
    )
    ON CONFLICT (measure, version) DO UPDATE SET
        body = excluded.body, body_sha256 = excluded.body_sha256,
        valid_from = excluded.valid_from, valid_to = excluded.valid_to,
        proposed_by = excluded.proposed_by, proposed_at = excluded.proposed_at;
    RETURN NULL;
END
$$;
-- Put a draft in force from its first day; the version before it is in force until the day before.
-- `p_body_sha256` names the very text that was looked at. Returns as eligibility.propose.
CREATE OR REPLACE FUNCTION eligibility.approve(
    p_measure text, p_version integer, p_body_sha256 bytea, p_by text, p_today date
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    draft eligibility.document;
    before eligibility.document;
BEGIN
    SELECT d.* INTO draft FROM eligibility.document AS d
    WHERE d.measure = p_measure AND d.version = p_version
    FOR UPDATE;
    SELECT d.* INTO before FROM eligibility.document AS d
    WHERE d.measure = p_measure AND d.version = p_version - 1;
    IF draft.measure IS NULL THEN
        RETURN 'not proposed';
    ELSIF draft.approved_by IS NOT NULL THEN
        RETURN 'approved already';
    ELSIF draft.body_sha256 <> p_body_sha256 THEN
        RETURN 'changed meanwhile';
    ELSIF draft.proposed_by = p_by THEN
        RETURN 'same person';
    ELSIF before.version IS NOT NULL
        AND draft.valid_from <= greatest(p_today, before.valid_from) THEN
        RETURN 'begins too early';
    END IF;
    UPDATE eligibility.document AS d SET approved_by = p_by, approved_at = clock_timestamp()
    WHERE d.measure = p_measure AND d.version = p_version;
    RETURN NULL;
END
$$;
-- The text of a version that was proposed or approved; no row: there is none.
CREATE OR REPLACE FUNCTION eligibility.document_of(p_measure text, p_version integer)
RETURNS TABLE (body bytea, approved_by text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT d.body, d.approved_by FROM eligibility.document AS d
WHERE d.measure = p_measure AND d.version = p_version;
$$;
-- The rules in force on a day, by measure: of each the latest approved one that has begun.
CREATE OR REPLACE FUNCTION eligibility.rules_on(p_day date)
RETURNS TABLE (measure text, version integer, body bytea, approved_by text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT d.measure, d.version, d.body, d.approved_by
FROM (
    SELECT DISTINCT ON (a.measure) a.*
    FROM eligibility.document AS a
    WHERE a.approved_by IS NOT NULL AND a.valid_from <= p_day
    ORDER BY a.measure, a.version DESC
) AS d
WHERE d.valid_to >= p_day
ORDER BY d.measure;
$$;
-- The amounts of every region on a day.
CREATE OR REPLACE FUNCTION eligibility.amounts_on(p_day date)
RETURNS TABLE (region smallint, parameter text, amount_kopecks bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT DISTINCT ON (a.region, a.parameter) a.region, a.parameter, a.amount_kopecks
FROM eligibility.amount AS a
WHERE a.valid_from <= p_day
ORDER BY a.region, a.parameter, a.valid_from DESC;
$$;
-- Set an amount from a day on; returns whether it is new. An amount that is set is never edited.
CREATE OR REPLACE FUNCTION eligibility.set_amount(
    p_region smallint, p_parameter text, p_valid_from date, p_amount_kopecks bigint, p_basis text,
    p_by text
) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
WITH done AS (
    INSERT INTO eligibility.amount (
        region, parameter, valid_from, amount_kopecks, basis, set_by
    ) VALUES (p_region, p_parameter, p_valid_from, p_amount_kopecks, p_basis, p_by)
    ON CONFLICT DO NOTHING
    RETURNING TRUE
)

SELECT EXISTS (SELECT FROM done);
$$;
