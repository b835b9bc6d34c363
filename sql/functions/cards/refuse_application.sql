-- Refuse an application, with the reason that its citizen is told; or, where p_withdraw, take it
-- back for them. An order that no station has taken is given up with it. Returns 1 done; 2 it is
-- decided otherwise already; 3 a station has its order: give that up first; 4 no such
-- application; 5 the role at work has no right to it.
CREATE OR REPLACE FUNCTION cards.refuse_application(
    p_application_id uuid, p_withdraw boolean, p_by text, p_reason text, p_at timestamptz
) RETURNS smallint
LANGUAGE plpgsql AS $$
DECLARE
    asked cards.application;
    wanted CONSTANT smallint := CASE WHEN p_withdraw THEN 4 ELSE 5 END;
BEGIN
    IF NOT cards.may(CASE WHEN p_withdraw THEN 'cards.apply' ELSE 'cards.approve' END) THEN
        RETURN 5;
    END IF;
    SELECT a.* INTO asked FROM cards.application AS a
    WHERE a.application_id = p_application_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 4;
    ELSIF asked.state = wanted THEN
        RETURN 1;
    ELSIF asked.state NOT IN (1, 2) THEN
        RETURN 2;
    END IF;
    IF asked.state = 2 THEN
        UPDATE cards.card_order AS o SET state = 3
        WHERE o.order_id = asked.order_id AND o.state = 1 AND o.station_id IS NULL;
        IF NOT FOUND THEN
            RETURN 3;
        END IF;
    END IF;
    UPDATE cards.application AS a
    SET state = wanted, order_id = NULL, decided_at = p_at, decided_by = p_by,
        decision_reason = CASE WHEN p_withdraw THEN NULL ELSE p_reason END
    WHERE a.application_id = p_application_id;
    RETURN 1;
END
$$;
REVOKE ALL ON FUNCTION cards.refuse_application(uuid, boolean, text, text, timestamptz) FROM public;
GRANT EXECUTE ON FUNCTION cards.refuse_application(uuid, boolean, text, text, timestamptz)
TO spk_issuing;
