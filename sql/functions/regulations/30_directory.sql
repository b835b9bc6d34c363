-- The codes a regulation may refer to, each with what is known of it.
CREATE OR REPLACE FUNCTION regulations.directory()
RETURNS TABLE (measures jsonb, opened jsonb, items jsonb, provider_kinds text[])
LANGUAGE sql STABLE AS $$
SELECT
    (SELECT jsonb_object_agg(m.measure, m.name_ru) FROM regulations.measure AS m),
    (
        SELECT jsonb_object_agg(o.measure, o.categories)
        FROM (
            SELECT c.measure, jsonb_agg(c.category) AS categories
            FROM regulations.category_measure AS c
            GROUP BY c.measure
        ) AS o
    ),
    (
        SELECT jsonb_object_agg(i.item, jsonb_build_object(
            'item_class', i.item_class, 'unit_okei', i.unit_okei, 'scale', i.scale
        ))
        FROM regulations.item AS i
    ),
    array(SELECT k.kind FROM regulations.provider_kind AS k);
$$;
