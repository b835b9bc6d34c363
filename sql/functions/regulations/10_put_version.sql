-- Put a version of a service's regulation in place of what stood under its number: the rows that
-- authorization joins. Terminals, past decisions and other versions keep what they have.
CREATE OR REPLACE FUNCTION regulations.put_version(
    p_service regulations.service, p_price_rules regulations.price_rule[]
) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM regulations.price_rule AS r
    WHERE r.service = (p_service).service AND r.version = (p_service).version;
    DELETE FROM regulations.service AS s
    WHERE s.service = (p_service).service AND s.version = (p_service).version;
    INSERT INTO regulations.service SELECT (p_service).*;
    INSERT INTO regulations.price_rule SELECT r.* FROM unnest(p_price_rules) AS r;
END
$$;
