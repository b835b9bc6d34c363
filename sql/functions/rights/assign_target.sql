-- Make this database number p_target of p_targets, serving the buckets from p_first to p_last, and
-- let it hold nobody else's rows: a batch of a foreign bucket is refused by the tables themselves,
-- without a look-up. Refused (23514) while rows of other buckets or lanes are here. Returns whether
-- anything was changed.
CREATE OR REPLACE FUNCTION rights.assign_target(
    p_target smallint, p_targets smallint, p_first smallint, p_last smallint
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    served record;
    held record;
BEGIN
    SELECT t.* INTO served FROM rights.target AS t FOR UPDATE;
    IF (served.target, served.targets, served.first_bucket, served.last_bucket)
        = (p_target, p_targets, p_first, p_last) THEN
        RETURN FALSE;
    END IF;
    UPDATE rights.target AS t
    SET target = p_target, targets = p_targets, first_bucket = p_first, last_bucket = p_last;
    FOR held IN
        SELECT c.oid::regclass AS place, a.attname AS bucket
        FROM pg_class AS c
        INNER JOIN pg_attribute AS a ON c.oid = a.attrelid AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND (
                (a.attname = 'bucket' AND c.relnamespace IN (
                    'rights'::regnamespace, 'journal'::regnamespace
                ))
                OR (a.attname = 'lane' AND c.oid = 'journal.block'::regclass)
            )
        ORDER BY c.oid
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS served_here', held.place);
        -- One that serves alone has nothing to refuse, and checks cost time in every statement.
        CONTINUE WHEN p_targets = 1;
        EXECUTE format(
            'ALTER TABLE %s ADD CONSTRAINT served_here CHECK (%I BETWEEN %s AND %s)', held.place,
            held.bucket,
            CASE held.bucket WHEN 'lane' THEN (p_target - 1) * 1024 + 1 ELSE p_first END,
            CASE held.bucket WHEN 'lane' THEN p_target * 1024 ELSE p_last END
        );
    END LOOP;
    RETURN TRUE;
END
$$;
REVOKE ALL ON FUNCTION rights.assign_target(
    smallint, smallint, smallint, smallint
) FROM public, spk_processing, spk_register, spk_issuing, spk_finance;
