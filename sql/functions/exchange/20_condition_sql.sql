-- A condition (exchange/dci/query.py) as the text of a WHERE over register.citizen AS c. Only
-- names of attribute_sql and quoted literals get into it.
CREATE OR REPLACE FUNCTION exchange.condition_sql(p_condition jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    meant record;
    comparison text;
BEGIN
    IF p_condition ? 'all' THEN
        RETURN '(' || (
            SELECT string_agg(exchange.condition_sql(n), ' AND ')
            FROM jsonb_array_elements(p_condition -> 'all') AS n
        ) || ')';
    ELSIF p_condition ? 'any' THEN
        RETURN '(' || (
            SELECT string_agg(exchange.condition_sql(n), ' OR ')
            FROM jsonb_array_elements(p_condition -> 'any') AS n
        ) || ')';
    ELSIF p_condition ? 'none' THEN
        RETURN '(' || (
            SELECT string_agg(format('(%s) IS NOT TRUE', exchange.condition_sql(n)), ' AND ')
            FROM jsonb_array_elements(p_condition -> 'none') AS n
        ) || ')';
    END IF;
    SELECT a.* INTO STRICT meant FROM exchange.attribute_sql(p_condition ->> 'attribute') AS a;
    SELECT format(
        '%s %s (%s)',
        meant.expression,
        CASE p_condition ->> 'operator'
            WHEN 'eq' THEN 'IN' WHEN 'in' THEN 'IN' WHEN 'lt' THEN '<' WHEN 'le' THEN '<='
            WHEN 'gt' THEN '>' WHEN 'ge' THEN '>='
        END,
        string_agg(format('%L::%s', v, meant.value_type), ', ')
    ) || CASE WHEN meant.looked_up IS NOT NULL AND p_condition ->> 'operator' IN ('eq', 'in')
        -- The same once more, as the index has it.
        THEN format(
            ' AND %s IN (%s)',
            replace(meant.looked_up, '@', meant.expression),
            string_agg(replace(meant.looked_up, '@', format('%L', v)), ', ')
        )
        ELSE ''
    END INTO STRICT comparison
    FROM jsonb_array_elements_text(p_condition -> 'values') AS v;
    RETURN replace(meant.place, '$', comparison);
END
$$;
