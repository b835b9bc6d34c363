-- Ring up a regulation's test case with an invented citizen, card and terminal, by the same engine
-- that decides at the counter. It writes like any transaction does: the caller rolls back.
-- `p_lines` are those of request 1. With `p_minutes` it is a visit that lasts so long, and
-- `p_finish_lines`, those of request 2, are its finish; a start that is refused is the answer.
-- Returns what is covered of each line (NULL when declined) and what each right holds afterwards,
-- in the order of `p_rights`.
CREATE OR REPLACE FUNCTION regulations.try_case(
    p_service text, p_version integer, p_evidence smallint, p_day date,
    p_rights regulations.trial_right[], p_facts regulations.trial_fact[], p_lines engine.line[],
    p_minutes integer, p_finish_lines engine.line[],
    OUT outcome smallint, OUT covered_kopecks bigint[], OUT remaining bigint[]
)
LANGUAGE plpgsql AS $$
DECLARE
    -- somebody whose rights belong into this database
    citizen CONSTANT uuid := (
        SELECT one.id
        FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 65536)) AS one
        INNER JOIN rights.target AS t
            ON rights.bucket_of(one.id) BETWEEN t.first_bucket AND t.last_bucket
        LIMIT 1
    );
    allowance_ids CONSTANT uuid [] := array(
        SELECT gen_random_uuid() FROM generate_subscripts(p_rights, 1)
    );
    region CONSTANT regulations.region := (
        SELECT r FROM regulations.region AS r ORDER BY r.region LIMIT 1
    );
    noon CONSTANT timestamptz := (p_day + time '12:00') AT TIME ZONE region.time_zone;
    challenge text;
BEGIN
    PERFORM regulations.put_trial(
        p_service, p_day, region.region, citizen, p_rights, allowance_ids, p_facts
    );
    SELECT a.outcome, a.covered_kopecks, a.facts ->> 'challenge'
    INTO outcome, covered_kopecks, challenge
    FROM regulations.ask_trial(
        p_service, p_version, p_evidence, p_day, citizen, noon,
        CASE WHEN p_minutes IS NULL THEN 3 ELSE 7 END::smallint, NULL, p_lines
    ) AS a;
    IF p_minutes IS NOT NULL AND outcome > 700 THEN
        SELECT a.outcome, a.covered_kopecks INTO outcome, covered_kopecks
        FROM regulations.ask_trial(
            p_service, p_version, p_evidence, p_day, citizen,
            noon + p_minutes * interval '1 minute', 8::smallint, challenge, p_finish_lines
        ) AS a;
    END IF;
    remaining := array(
        SELECT w.granted - n.used
        FROM unnest(allowance_ids) WITH ORDINALITY AS i (allowance_id, number)
        INNER JOIN rights.allowance AS w
            ON w.bucket = rights.bucket_of(citizen) AND w.holder_id = citizen
            AND i.allowance_id = w.allowance_id
        INNER JOIN rights.counter AS n ON n.bucket = w.bucket AND w.allowance_id = n.allowance_id
        ORDER BY i.number
    );
END
$$;
