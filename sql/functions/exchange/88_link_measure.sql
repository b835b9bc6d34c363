-- Say what a measure of ours is in ЕГИССО, and its categories. Returns NULL, or what stands against
-- it: lmsz (not in the catalogue), category (not one of that measure's); then nothing was written.
CREATE OR REPLACE FUNCTION exchange.link_measure(
    p_link exchange.egisso_measure, p_categories text[], p_category_ids uuid[]
) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM exchange.lmsz AS l
        WHERE l.lmsz_id = (p_link).lmsz_id AND l.removed_by IS NULL
    ) THEN
        RETURN 'lmsz';
    ELSIF EXISTS (
        SELECT FROM unnest(p_category_ids) AS i (category_id)
        WHERE NOT EXISTS (
            SELECT FROM exchange.lmsz_category AS k
            WHERE k.lmsz_id = (p_link).lmsz_id AND k.category_id = i.category_id
        )
    ) THEN
        RETURN 'category';
    END IF;
    INSERT INTO exchange.egisso_measure SELECT (p_link).*
    ON CONFLICT (measure) DO UPDATE SET
        lmsz_id = excluded.lmsz_id, osz_code = excluded.osz_code, basis = excluded.basis,
        okei = excluded.okei, monetization = excluded.monetization, linked_by = excluded.linked_by;
    DELETE FROM exchange.egisso_category AS k WHERE k.measure = (p_link).measure;
    INSERT INTO exchange.egisso_category (measure, category, category_id)
    SELECT (p_link).measure, c.category, c.category_id
    FROM unnest(p_categories, p_category_ids) AS c (category, category_id);
    RETURN NULL;
END
$$;
