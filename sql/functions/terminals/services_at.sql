-- The services allowed at a terminal: each in the version whose regulation is in force on p_on, and
-- in those that are approved for later.
CREATE OR REPLACE FUNCTION terminals.services_at(p_terminal_id text, p_on date)
RETURNS TABLE (
    service text,
    version integer,
    name_ru text,
    name_en text,
    evidence smallint,
    consumes smallint,
    shortage smallint,
    -- how long a reservation stands or a visit may last, 0: the service takes none
    reserve_minutes integer,
    visit smallint,
    valid_from date,
    valid_to date,
    grace_days smallint,
    -- refusals in the regulation's own words: an array of objects
    refusals jsonb
)
LANGUAGE sql STABLE AS $$
SELECT DISTINCT ON (s.service, CASE WHEN s.valid_from > p_on THEN s.version END)
    s.service, s.version, s.name_ru, s.name_en, s.evidence, s.consumes, s.shortage,
    coalesce(s.reserve_minutes, 0), s.visit, s.valid_from, s.valid_to, s.grace_days,
    (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'outcome', r.outcome, 'text_ru', r.text_ru, 'text_en', r.text_en,
            'remedy_ru', r.remedy_ru, 'remedy_en', r.remedy_en
        ) ORDER BY r.outcome), '[]')
        FROM regulations.refusal AS r
        WHERE r.service = s.service AND r.version = s.version
    )
FROM terminals.terminal_service AS allowed
INNER JOIN regulations.service AS s ON allowed.service = s.service
WHERE allowed.terminal_id = p_terminal_id AND s.valid_to >= p_on
ORDER BY s.service, CASE WHEN s.valid_from > p_on THEN s.version END, s.version DESC;
$$;
REVOKE ALL ON FUNCTION terminals.services_at(text, date) FROM public;
GRANT EXECUTE ON FUNCTION terminals.services_at(text, date) TO spk_operator, spk_processing;
