-- Give the rights that rest on a change to the database that serves their holders: to this one now,
-- in the same transaction; to others by register.rights_delivery. Raises exclusion_violation
-- named `nothing_pays` for a prescription without an entitlement that pays for it, `item_unknown`
-- for what no item is rung up for.
CREATE OR REPLACE FUNCTION register.pass_rights_on(p_change_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    against CONSTANT text := register.unpayable(p_change_id);
BEGIN
    IF against IS NOT NULL THEN
        RAISE EXCEPTION 'rights cannot rest on the change: %', against
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = against;
    END IF;
    INSERT INTO register.rights_delivery (bucket, change_id, action, body)
    SELECT r.bucket, p_change_id, r.action, r.body
    FROM (
        SELECT * FROM register.rights_of_change(p_change_id)
        UNION ALL
        SELECT * FROM register.facts_of_change(p_change_id)
    ) AS r
    ORDER BY array_position(ARRAY['withdraw', 'entitlement', 'allowance', 'facts'], r.action);
    PERFORM register.deliver_here();
END
$$;
REVOKE ALL ON FUNCTION register.pass_rights_on(bigint) FROM public, spk_register;

-- What the database that serves these buckets does not know yet, the oldest first, in rounds: what
-- several changes say of one holder is to be taken over one change after the other.
CREATE OR REPLACE FUNCTION register.rights_in_rounds(
    p_first smallint, p_last smallint, p_count integer
) RETURNS TABLE (delivery_id bigint, action text, body jsonb, round bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
SELECT
    d.delivery_id, d.action, d.body,
    dense_rank() OVER (PARTITION BY d.body -> 'holder_id' ORDER BY d.first_id)
FROM (
    SELECT d.*, min(d.delivery_id) OVER (PARTITION BY d.change_id) AS first_id
    FROM (
        SELECT d.* FROM register.rights_delivery AS d
        WHERE d.bucket BETWEEN p_first AND p_last
        ORDER BY d.delivery_id
        LIMIT p_count
    ) AS d
) AS d;
$$;
REVOKE ALL ON FUNCTION register.rights_in_rounds(smallint, smallint, integer)
FROM public, spk_register;

-- Take over what is due to this very database, so much at a time that memory stays bounded.
CREATE OR REPLACE FUNCTION register.deliver_here() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    told record;
    ids bigint[];
BEGIN
    LOOP
        ids := '{}';
        FOR told IN
            SELECT
                array_agg(d.action ORDER BY d.delivery_id) AS actions,
                array_agg(d.body ORDER BY d.delivery_id) AS bodies,
                array_agg(d.delivery_id) AS ids
            FROM rights.target AS t
            CROSS JOIN LATERAL register.rights_in_rounds(t.first_bucket, t.last_bucket, 10000) AS d
            GROUP BY d.round
            ORDER BY d.round
        LOOP
            PERFORM rights.accept(told.actions, told.bodies);
            ids := ids || told.ids;
        END LOOP;
        EXIT WHEN cardinality(ids) = 0;
        DELETE FROM register.rights_delivery AS d WHERE d.delivery_id = ANY(ids);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION register.deliver_here() FROM public, spk_register;

-- Why no right can rest on a record of a change; NULL: nothing stands against it.
CREATE OR REPLACE FUNCTION register.unpayable(p_change_id bigint) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
SELECT CASE
    WHEN EXISTS (
        SELECT FROM (
            SELECT p.item_class FROM register.prescription AS p WHERE p.change_id = p_change_id
            UNION ALL
            SELECT l.item_class FROM register.service_plan_line AS l
            WHERE l.change_id = p_change_id
            UNION ALL
            SELECT s.item_class FROM register.school_meals AS s WHERE s.change_id = p_change_id
        ) AS w
        WHERE NOT EXISTS (
            SELECT FROM regulations.item AS i WHERE i.item_class = w.item_class
        )
    ) THEN 'item_unknown'
    WHEN EXISTS (
        SELECT FROM register.prescription AS p
        WHERE p.change_id = p_change_id AND NOT EXISTS (
            SELECT FROM register.allowances_of_change(p_change_id) AS a
            WHERE a.allowance_id = p.record_id
        )
    ) THEN 'nothing_pays'
END;
$$;
REVOKE ALL ON FUNCTION register.unpayable(bigint) FROM public, spk_register;

-- What other databases do not know yet, the oldest first; and that they know it now. Who looks is
-- the only one to tell them until the transaction ends, so that nothing old arrives after the new.
CREATE OR REPLACE FUNCTION register.rights_due(p_first smallint, p_last smallint, p_count integer)
RETURNS TABLE (delivery_id bigint, action text, body jsonb, round bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('register.rights_due'), p_first);
    RETURN QUERY
    SELECT d.* FROM register.rights_in_rounds(p_first, p_last, p_count) AS d
    ORDER BY d.round, d.delivery_id;
END
$$;
REVOKE ALL ON FUNCTION register.rights_due(smallint, smallint, integer) FROM public;

CREATE OR REPLACE FUNCTION register.rights_delivered(p_delivery_ids bigint[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
DELETE FROM register.rights_delivery AS d WHERE d.delivery_id = ANY(p_delivery_ids);
$$;
REVOKE ALL ON FUNCTION register.rights_delivered(bigint[]) FROM public;
