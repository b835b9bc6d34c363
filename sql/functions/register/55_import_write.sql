-- Write the staged rows from one line to another: new records, and the columns of known ones that
-- the file has. What the register's own rules refuse is found by halving and rejected, its `code`
-- the rule's name.
CREATE OR REPLACE FUNCTION register.import_write(
    p_kind text, p_first integer, p_last integer
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target register.record_kind;
    names text;
    staged_values text;
    middle integer;
    rule text;
BEGIN
    SELECT k.* INTO STRICT target FROM register.record_kind AS k WHERE k.kind = p_kind;
    SELECT
        string_agg(format('%I', c.column_name), ', '),
        string_agg(format('(s.r).%I', c.column_name), ', ')
    INTO names, staged_values
    FROM register.import_columns(p_kind) AS c;

    BEGIN
        EXECUTE format(
            'INSERT INTO register.%1$I (%2$I, %3$s) SELECT s.record_id, %4$s FROM staged AS s'
            ' WHERE s.outcome = ''created'' AND s.line BETWEEN $1 AND $2 ORDER BY s.line',
            target.table_name, target.key_column, names, staged_values
        ) USING p_first, p_last;
        EXECUTE format(
            'UPDATE register.%1$I AS t SET (%3$s) = ('
            ' SELECT %4$s FROM (SELECT jsonb_populate_record(t, s.body) AS r) AS s)'
            ' FROM staged AS s WHERE s.outcome = ''changed'''
            ' AND t.%2$I = s.record_id AND s.line BETWEEN $1 AND $2',
            target.table_name, target.key_column, names, staged_values
        ) USING p_first, p_last;
        IF target.creates_rights THEN
            -- A right that nothing pays for is refused here, row by row.
            rule := register.unpayable(register.current_change());
            IF rule IS NOT NULL THEN
                RAISE EXCEPTION '%', rule USING ERRCODE = 'exclusion_violation', CONSTRAINT = rule;
            END IF;
        END IF;
    EXCEPTION WHEN integrity_constraint_violation THEN
        GET STACKED DIAGNOSTICS rule = CONSTRAINT_NAME;
        SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY s.line) INTO middle
        FROM staged AS s
        WHERE s.outcome IN ('created', 'changed') AND s.line BETWEEN p_first AND p_last;
        IF
            1 = (
                SELECT count(*)
                FROM staged AS s
                WHERE s.outcome IN ('created', 'changed') AND s.line BETWEEN p_first AND p_last
            )
        THEN
            UPDATE staged AS s SET outcome = 'rejected', code = 'rule', field = rule
            WHERE s.line = middle;
        ELSE
            PERFORM register.import_write(p_kind, p_first, middle);
            PERFORM register.import_write(p_kind, middle + 1, p_last);
        END IF;
    END;
END
$$;
