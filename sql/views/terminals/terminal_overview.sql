-- One row per terminal: whose it is, where it stands, what it may do.
CREATE OR REPLACE VIEW terminals.terminal_overview AS
SELECT
    t.terminal_id,
    t.state,
    t.key_generation,
    t.next_key_generation,
    t.exchange_generation,
    t.master_generation,
    t.next_master_generation,
    t.region,
    r.time_zone,
    p.provider_id,
    p.code AS provider_code,
    p.kind AS provider_kind,
    p.name_ru AS provider_name_ru,
    p.name_en AS provider_name_en,
    p.contract,
    array(
        SELECT s.service
        FROM terminals.terminal_service AS s
        WHERE s.terminal_id = t.terminal_id
        ORDER BY s.service
    ) AS services,
    heard.heard_at,
    coalesce(heard.signed_on, FALSE) AS signed_on,
    heard.signed_at,
    heard.cut_over_at,
    t.writes_passports
FROM terminals.terminal AS t
INNER JOIN terminals.provider AS p ON t.provider_id = p.provider_id
INNER JOIN regulations.region AS r ON t.region = r.region
LEFT JOIN terminals.presence AS heard ON t.terminal_id = heard.terminal_id;

GRANT SELECT ON terminals.terminal_overview TO spk_operator, spk_processing;
