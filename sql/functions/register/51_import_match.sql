-- Find the records that the staged rows are about, and tell changed ones from unchanged ones. A
-- record that belongs to another citizen or household than the row says waits for a decision.
CREATE OR REPLACE FUNCTION register.import_match(p_kind text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target register.record_kind;
    condition text;
    owner_differs text;
BEGIN
    SELECT k.* INTO STRICT target FROM register.record_kind AS k WHERE k.kind = p_kind;

    SELECT string_agg(CASE
        WHEN m.name = 'holder_id'
            THEN 't.holder_id = coalesce((s.r).citizen_id, (s.r).household_id)'
        WHEN c.is_required THEN format('t.%1$I = (s.r).%1$I', m.name)
        ELSE format('t.%1$I IS NOT DISTINCT FROM (s.r).%1$I', m.name)
    END, ' AND ') INTO STRICT condition
    FROM register.import_kind AS k
    CROSS JOIN LATERAL unnest(k.match_columns) AS m (name)
    LEFT JOIN register.import_columns(p_kind) AS c ON m.name = c.column_name
    WHERE k.kind = p_kind;

    SELECT string_agg(format('t.%1$I IS DISTINCT FROM (s.r).%1$I', o.name), ' OR ')
    INTO owner_differs
    FROM register.import_kind AS k
    CROSS JOIN LATERAL unnest(k.reference_columns) AS o (name)
    WHERE
        k.kind = p_kind
        AND o.name <> ALL (k.match_columns)
        AND 'holder_id' <> ALL (k.match_columns);

    EXECUTE format(
        'UPDATE staged AS s SET record_id = t.%1$I, outcome = CASE'
        ' WHEN to_jsonb(t) || s.body = to_jsonb(t) THEN ''unchanged'' WHEN %3$s THEN ''waiting'''
        ' ELSE ''changed'' END, code = CASE WHEN %3$s THEN ''held_by_another'' END'
        ' FROM register.%2$I AS t WHERE s.outcome = ''created'' AND s.decision IS NULL AND %4$s',
        target.key_column, target.table_name, coalesce(owner_differs, 'FALSE'), condition
    );
    -- Whom a person named is the one, whatever the row's own key says.
    EXECUTE format(
        'UPDATE staged AS s SET outcome = CASE WHEN t.%1$I IS NULL THEN ''rejected'''
        ' WHEN to_jsonb(t) || s.body = to_jsonb(t) THEN ''unchanged'' ELSE ''changed'' END,'
        ' code = CASE WHEN t.%1$I IS NULL THEN ''candidate_gone'' END'
        ' FROM staged AS d LEFT JOIN register.%2$I AS t ON d.record_id = t.%1$I'
        ' WHERE d.decision = ''same'' AND d.outcome = ''created'' AND s.line = d.line',
        target.key_column, target.table_name
    );
END
$$;
