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
        -- of all at once: exchange.consented, asked of a million one by one, takes a minute
        CASE WHEN p_needs_consent THEN
            'c.citizen_id IN (SELECT k.citizen_id FROM exchange.consenting() AS k)'
        END,
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
    found_by CONSTANT text := CASE p_entity
        WHEN 'Member' THEN 'c.citizen_id' ELSE 'g.household_id'
    END;
    looked_through CONSTANT text := CASE p_entity
        WHEN 'Member' THEN 'register.citizen AS c WHERE '
        ELSE
            'register.citizen AS c INNER JOIN register.household_member AS g '
            'ON c.citizen_id = g.citizen_id WHERE '
    END || condition;
BEGIN
    -- First whether they are not too many, which needs no order and ends with the first too many.
    EXECUTE format(
        'SELECT array(SELECT %s %s FROM %s LIMIT $2)',
        CASE WHEN p_entity <> 'Member' THEN 'DISTINCT' END, found_by, looked_through
    ) USING p_among, p_max + 1 INTO STRICT record_ids;
    matched := cardinality(record_ids);
    IF matched > p_max THEN
        record_ids := '{}';
    ELSIF matched > 0 THEN
        EXECUTE format(
            'SELECT array(SELECT %1$s FROM %2$s AND %1$s = ANY($2) GROUP BY %1$s '
            'ORDER BY %3$s %1$s LIMIT $3 OFFSET $4)', found_by, looked_through, ordering
        ) USING p_among, record_ids, p_limit, p_offset INTO STRICT record_ids;
    END IF;
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
