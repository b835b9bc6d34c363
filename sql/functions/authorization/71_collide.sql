-- Give up a batch that counted on what another batch took meanwhile.
CREATE OR REPLACE FUNCTION engine.collide() RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'another worker debited the same allowance; decide the batch again'
    USING ERRCODE = 'serialization_failure';
END
$$;
