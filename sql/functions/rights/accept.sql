-- Take over what the register decided about rights whose holders are served here. Again is
-- harmless. Of each action, by p_actions:
-- 'entitlement' a row of rights.entitlement; where its last day moves, that of its allowances
-- moves along; 'allowance' a row of rights.allowance, of which only amount, last day and priority
-- may change; 'withdraw' the holder and the id of an entitlement or allowance: what was drawn on
-- stays with nothing left in it, the rest goes; 'facts' all that is known of a holder now, rows of
-- rights.holder_fact.
CREATE OR REPLACE FUNCTION rights.accept(p_actions text[], p_bodies jsonb[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
WITH told AS (
    SELECT r.*
    FROM unnest(p_actions, p_bodies) AS t (action, body)
    CROSS JOIN LATERAL jsonb_populate_record(NULL::rights.entitlement, t.body) AS r
    WHERE t.action = 'entitlement'
)

UPDATE rights.allowance AS a SET
    valid_to = greatest(
        a.valid_from,
        CASE WHEN a.valid_to = e.valid_to THEN t.valid_to ELSE least(a.valid_to, t.valid_to) END
    ),
    granted = CASE WHEN t.valid_to < a.valid_from THEN 0 ELSE a.granted END
FROM told AS t
INNER JOIN rights.entitlement AS e
    ON t.bucket = e.bucket AND t.holder_id = e.holder_id AND t.entitlement_id = e.entitlement_id
WHERE
    a.bucket = e.bucket AND a.holder_id = e.holder_id AND a.entitlement_id = e.entitlement_id
    AND t.valid_to <> e.valid_to;

INSERT INTO rights.entitlement
SELECT r.*
FROM unnest(p_actions, p_bodies) AS t (action, body)
CROSS JOIN LATERAL jsonb_populate_record(NULL::rights.entitlement, t.body) AS r
WHERE t.action = 'entitlement'
ON CONFLICT (bucket, holder_id, entitlement_id) DO UPDATE SET
    measure = excluded.measure, category = excluded.category, valid_from = excluded.valid_from,
    valid_to = excluded.valid_to, decision_number = excluded.decision_number,
    decided_on = excluded.decided_on;

INSERT INTO rights.allowance
SELECT r.*
FROM unnest(p_actions, p_bodies) AS t (action, body)
CROSS JOIN LATERAL jsonb_populate_record(NULL::rights.allowance, t.body) AS r
WHERE t.action = 'allowance'
ON CONFLICT (bucket, holder_id, allowance_id) DO UPDATE SET
    granted = excluded.granted,
    -- where its periods begin is fixed for good: moving it would start a fresh counter
    valid_to = greatest(allowance.valid_from, excluded.valid_to), priority = excluded.priority;

WITH gone AS (
    SELECT (t.body ->> 'bucket')::smallint AS bucket, (t.body ->> 'holder_id')::uuid AS holder_id,
        (t.body ->> 'id')::uuid AS id
    FROM unnest(p_actions, p_bodies) AS t (action, body)
    WHERE t.action = 'withdraw'
),

untouched AS (
    DELETE FROM rights.allowance AS a USING gone AS g
    WHERE
        a.bucket = g.bucket AND a.holder_id = g.holder_id
        AND g.id IN (a.allowance_id, a.entitlement_id)
        AND NOT EXISTS (
            SELECT FROM rights.counter AS c
            WHERE c.bucket = a.bucket AND c.allowance_id = a.allowance_id
        )
)

UPDATE rights.allowance AS a SET granted = 0
FROM gone AS g
WHERE
    a.bucket = g.bucket AND a.holder_id = g.holder_id
    AND g.id IN (a.allowance_id, a.entitlement_id)
    AND EXISTS (
        SELECT FROM rights.counter AS c
        WHERE c.bucket = a.bucket AND c.allowance_id = a.allowance_id
    );

DELETE FROM rights.entitlement AS e
USING unnest(p_actions, p_bodies) AS t (action, body)
WHERE
    t.action = 'withdraw' AND e.bucket = (t.body ->> 'bucket')::smallint
    AND e.holder_id = (t.body ->> 'holder_id')::uuid
    AND e.entitlement_id = (t.body ->> 'id')::uuid
    AND NOT EXISTS (
        SELECT FROM rights.allowance AS a
        WHERE
            a.bucket = e.bucket AND a.holder_id = e.holder_id
            AND a.entitlement_id = e.entitlement_id
    );

DELETE FROM rights.holder_fact AS f
USING unnest(p_actions, p_bodies) AS t (action, body)
WHERE
    t.action = 'facts' AND f.bucket = (t.body ->> 'bucket')::smallint
    AND f.holder_id = (t.body ->> 'holder_id')::uuid;

INSERT INTO rights.holder_fact
SELECT r.*
FROM (
    -- the last that is told of a holder counts
    SELECT DISTINCT ON (t.body -> 'holder_id') t.body -> 'facts' AS facts
    FROM unnest(p_actions, p_bodies) WITH ORDINALITY AS t (action, body, n)
    WHERE t.action = 'facts'
    ORDER BY t.body -> 'holder_id', t.n DESC
) AS t
CROSS JOIN LATERAL jsonb_populate_recordset(NULL::rights.holder_fact, t.facts) AS r;
$$;
REVOKE ALL ON FUNCTION rights.accept(text[], jsonb[])
FROM public, spk_processing, spk_issuing, spk_finance;
