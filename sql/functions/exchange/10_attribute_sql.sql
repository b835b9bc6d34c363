-- How an attribute of exchange/dci/attributes.py is read of register.citizen AS c; NULL: there is
-- no such attribute. What has many values is compared inside an EXISTS that takes the comparison
-- at its $. `looked_up` is the expression of an index that finds equal texts, its argument at @.
CREATE OR REPLACE FUNCTION exchange.attribute_sql(p_attribute text)
RETURNS TABLE (expression text, value_type text, place text, looked_up text)
LANGUAGE sql IMMUTABLE AS $$
SELECT
    a.expression, a.value_type, a.place,
    CASE WHEN p_attribute IN ('surname', 'given_name') THEN 'register.name_key(@)' END
FROM (VALUES
    ('snils', 'c.snils', 'text', '$'),
    ('enp', 'c.enp', 'text', '$'),
    ('inn', 'c.inn', 'text', '$'),
    ('surname', 'c.last_name', 'text', '$'),
    ('given_name', 'c.first_name', 'text', '$'),
    ('second_name', 'c.patronymic', 'text', '$'),
    ('birth_date', 'c.birth_date', 'date', '$'),
    ('birth_year', 'extract(year FROM c.birth_date)::integer', 'integer', '$'),
    ('sex', 'c.sex', 'text', '$'),
    ('region', 'c.region', 'smallint', '$'),
    (
        'category', 'k.category', 'text',
        'EXISTS (SELECT FROM register.citizen_category AS k WHERE k.citizen_id = c.citizen_id '
        'AND current_date BETWEEN k.valid_from AND k.valid_to AND $)'
    ),
    (
        'is_disabled',
        'EXISTS (SELECT FROM register.citizen_category AS k WHERE k.citizen_id = c.citizen_id '
        'AND current_date BETWEEN k.valid_from AND k.valid_to AND k.category LIKE ''DISABLED.%'')',
        'boolean', '$'
    ),
    (
        'measure', 'e.measure', 'text',
        'EXISTS (SELECT FROM register.entitlement AS e WHERE e.citizen_id = c.citizen_id '
        'AND current_date BETWEEN e.valid_from AND e.valid_to AND $)'
    ),
    (
        'group_identifier', 'm.household_id', 'uuid',
        'EXISTS (SELECT FROM register.household_member AS m WHERE m.citizen_id = c.citizen_id '
        'AND $)'
    ),
    (
        'group_size',
        '(SELECT count(*) FROM register.household_member AS n '
        'WHERE n.household_id = m.household_id)::integer',
        'integer',
        'EXISTS (SELECT FROM register.household_member AS m WHERE m.citizen_id = c.citizen_id '
        'AND $)'
    )
) AS a (attribute, expression, value_type, place)
WHERE a.attribute = p_attribute
$$;
