-- Put a proposed catalogue in force: its measures stand, those it removes end. p_body_sha256 names
-- the very file that was looked at. Returns NULL, or what stands against it: unknown, approved
-- already, changed meanwhile, same person, in use; then nothing was written.
CREATE OR REPLACE FUNCTION exchange.approve_catalogue(
    p_catalogue_id bigint, p_body_sha256 bytea, p_by text, p_at timestamptz, p_measures jsonb,
    p_removed uuid[]
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    draft exchange.catalogue;
BEGIN
    SELECT k.* INTO draft FROM exchange.catalogue AS k
    WHERE k.catalogue_id = p_catalogue_id FOR UPDATE;
    IF draft.catalogue_id IS NULL THEN
        RETURN 'unknown';
    ELSIF draft.approved_by IS NOT NULL THEN
        RETURN 'approved already';
    ELSIF draft.body_sha256 <> p_body_sha256 THEN
        RETURN 'changed meanwhile';
    ELSIF draft.proposed_by = p_by THEN
        RETURN 'same person';
    ELSIF EXISTS (
        SELECT FROM exchange.egisso_measure AS m WHERE m.lmsz_id = ANY(p_removed)
    ) THEN
        RETURN 'in use';
    END IF;
    UPDATE exchange.catalogue SET approved_by = p_by, approved_at = p_at
    WHERE catalogue.catalogue_id = p_catalogue_id;
    INSERT INTO exchange.lmsz (
        lmsz_id, title, form, valid_from, valid_to, body, catalogue_id
    )
    SELECT
        (j.one ->> 'id')::uuid, j.one ->> 'title',
        j.one -> 'classificationKMSZ' ->> 'codeProvisionForm',
        (j.one ->> 'dateEnact')::date, (j.one ->> 'dateExpiration')::date, j.one, p_catalogue_id
    FROM jsonb_array_elements(p_measures) AS j (one)
    ON CONFLICT (lmsz_id) DO UPDATE SET
        title = excluded.title, form = excluded.form, valid_from = excluded.valid_from,
        valid_to = excluded.valid_to, body = excluded.body, catalogue_id = excluded.catalogue_id,
        removed_by = NULL;
    DELETE FROM exchange.lmsz_category AS k
    USING jsonb_array_elements(p_measures) AS j (one)
    WHERE k.lmsz_id = (j.one ->> 'id')::uuid;
    INSERT INTO exchange.lmsz_category (lmsz_id, category_id, title)
    SELECT (j.one ->> 'id')::uuid, (c.one ->> 'id')::uuid, c.one ->> 'title'
    FROM jsonb_array_elements(p_measures) AS j (one)
    CROSS JOIN LATERAL jsonb_array_elements(
        j.one -> 'classificationKMSZ' -> 'localCategories' -> 'localCategory'
    ) AS c (one);
    UPDATE exchange.lmsz AS l SET removed_by = p_catalogue_id WHERE l.lmsz_id = ANY(p_removed);
    RETURN NULL;
END
$$;
