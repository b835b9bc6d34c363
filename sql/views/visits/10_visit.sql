-- Visits that began (kind 7) and hold something, with who gives the service where. Neither card nor
-- holder: an operator asks the provider who was there.
CREATE OR REPLACE VIEW journal.begun_visit AS
SELECT
    e.bucket,
    e.business_date,
    e.terminal_id,
    e.stan,
    e.assigned,
    e.service,
    s.name_ru AS service_ru,
    s.name_en AS service_en,
    p.code AS provider_code,
    r.time_zone,
    e.signed_at AS began_at,
    (e.facts ->> 'expires')::timestamptz AS expires_at,
    -- without the centre: its finish can only be recorded in conflict
    e.advice AS began_offline,
    (
        SELECT string_agg(h.item || '=' || h.quantity, ' ' ORDER BY h.line_no)
        FROM (
            SELECT
                l.line_no,
                l.item,
                sum(l.quantity) AS quantity
            FROM journal.line AS l
            WHERE
                l.business_date = e.business_date AND l.terminal_id = e.terminal_id
                AND l.stan = e.stan AND l.message_class = e.message_class
                AND l.assigned = e.assigned
            GROUP BY l.line_no, l.item
        ) AS h
    ) AS held
FROM journal.event AS e
INNER JOIN terminals.terminal AS t ON e.terminal_id = t.terminal_id
INNER JOIN terminals.provider AS p ON t.provider_id = p.provider_id
LEFT JOIN regulations.region AS r ON t.region = r.region
LEFT JOIN regulations.service AS s ON e.service = s.service AND e.service_version = s.version
WHERE e.kind = 7 AND e.facts ? 'expires';

-- Those that nothing has ended: they may still be finished, or their end is due any moment.
CREATE OR REPLACE VIEW journal.open_visit AS
SELECT
    v.business_date,
    v.terminal_id,
    v.stan,
    v.service,
    v.service_ru,
    v.service_en,
    v.provider_code,
    v.time_zone,
    v.began_at,
    v.expires_at,
    v.began_offline,
    v.held
FROM rights.reservation AS o
INNER JOIN journal.begun_visit AS v
    ON
        o.bucket = v.bucket AND o.business_date = v.business_date
        AND o.terminal_id = v.terminal_id AND o.stan = v.stan AND o.assigned = v.assigned;

-- Those that nobody finished: the centre ended them by an event of its own (kind 9) and gave back
-- what they held.
CREATE OR REPLACE VIEW journal.forgotten_visit AS
SELECT
    v.business_date,
    v.terminal_id,
    v.stan,
    v.service,
    v.service_ru,
    v.service_en,
    v.provider_code,
    v.time_zone,
    v.began_at,
    v.expires_at,
    v.began_offline,
    v.held,
    x.posting_date AS forgotten_on,
    x.decided_at AS ended_at
FROM journal.event AS x
INNER JOIN journal.begun_visit AS v
    ON
        x.business_date = v.business_date AND x.terminal_id = v.terminal_id
        AND x.stan = v.stan AND x.assigned = v.assigned
WHERE x.message_class = 9 AND x.kind = 9;

GRANT SELECT ON journal.open_visit, journal.forgotten_visit TO spk_operator, spk_finance;
