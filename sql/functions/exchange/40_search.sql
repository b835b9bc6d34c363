-- The one way of the exchange to anybody's data: find the citizens or households that fit a
-- condition, tell one page of them, and log each as read by this participant for this purpose.
-- matched is at most p_max + 1; above p_max nothing is told. p_among: only these citizens and
-- their households are looked at (of whom a notification tells).
-- Runs as the owner, since spk_exchange may read no register table.
CREATE OR REPLACE FUNCTION exchange.search(
    p_peer_id text, p_purpose text, p_needs_consent boolean, p_entity text, p_condition jsonb,
    p_sort jsonb, p_offset integer, p_limit integer, p_max integer, p_parts text[],
    p_among uuid[] DEFAULT NULL,
    OUT matched integer, OUT record_ids uuid[], OUT records jsonb[]
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    condition CONSTANT text := concat_ws(
        ' AND ',
        exchange.condition_sql(p_condition),
        CASE WHEN p_needs_consent THEN 'exchange.consented(c.citizen_id)' END,
        CASE WHEN p_among IS NOT NULL THEN 'c.citizen_id = ANY($1)' END
    );
    ordering CONSTANT text := coalesce((
        SELECT string_agg(
            format('min(%s) %s NULLS LAST, ', a.expression,
                CASE s.value ->> 'sort_order' WHEN 'desc' THEN 'DESC' ELSE 'ASC' END), ''
            ORDER BY s.number
        )
        FROM jsonb_array_elements(p_sort) WITH ORDINALITY AS s (value, number)
        CROSS JOIN LATERAL exchange.attribute_sql(s.value ->> 'attribute') AS a
    ), '');
    found_ids uuid[];
BEGIN
    EXECUTE format(
        CASE p_entity
            WHEN 'Member' THEN
                'SELECT array(SELECT c.citizen_id FROM register.citizen AS c '
                'WHERE %s GROUP BY c.citizen_id ORDER BY %s c.citizen_id LIMIT $2)'
            ELSE
                'SELECT array(SELECT g.household_id FROM register.citizen AS c '
                'INNER JOIN register.household_member AS g ON c.citizen_id = g.citizen_id '
                'WHERE %s GROUP BY g.household_id ORDER BY %s g.household_id LIMIT $2)'
        END, condition, ordering
    ) USING p_among, p_max + 1 INTO STRICT found_ids;
    matched := cardinality(found_ids);
    record_ids := CASE WHEN matched <= p_max THEN found_ids[p_offset + 1:p_offset + p_limit]
        ELSE '{}' END;
    PERFORM exchange.log_read(p_peer_id, p_purpose, p_needs_consent, p_entity, record_ids, p_parts);
    records := array(
        SELECT CASE p_entity
            WHEN 'Member' THEN exchange.member_record(i.id, p_parts)
            ELSE exchange.group_record(i.id, p_parts, p_needs_consent)
        END
        FROM unnest(record_ids) WITH ORDINALITY AS i (id, number)
        ORDER BY i.number
    );
END
$$;
