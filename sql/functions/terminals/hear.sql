-- Keep what a terminal said about itself: p_code is field 70 of its message (1 sign-on, 2
-- sign-off, 161 key change, 201 cut-over, 301 echo). A blocked terminal that wants to sign on is
-- heard and stays off. Messages heard by two workers may come in any order: an older one changes
-- nothing. Returns the terminal's state, NULL when there is none.
CREATE OR REPLACE FUNCTION terminals.hear(
    p_terminal_id text, p_code smallint, p_heard_at timestamptz
) RETURNS smallint
LANGUAGE sql AS $$
INSERT INTO terminals.presence AS p (terminal_id, heard_at, signed_on, signed_at, cut_over_at)
SELECT
    t.terminal_id, p_heard_at, p_code = 1 AND t.state = 1,
    CASE WHEN p_code = 2 OR (p_code = 1 AND t.state = 1) THEN p_heard_at END,
    CASE WHEN p_code = 201 THEN p_heard_at END
FROM terminals.terminal AS t
WHERE t.terminal_id = p_terminal_id
ON CONFLICT (terminal_id) DO UPDATE SET
    heard_at = excluded.heard_at,
    signed_on
    = CASE WHEN excluded.signed_at IS NOT NULL THEN excluded.signed_on ELSE p.signed_on END,
    signed_at = coalesce(excluded.signed_at, p.signed_at),
    cut_over_at = coalesce(excluded.cut_over_at, p.cut_over_at)
WHERE p.heard_at <= excluded.heard_at;

SELECT t.state FROM terminals.terminal AS t WHERE t.terminal_id = p_terminal_id;
$$;
REVOKE ALL ON FUNCTION terminals.hear(text, smallint, timestamptz) FROM public;
GRANT EXECUTE ON FUNCTION terminals.hear(text, smallint, timestamptz) TO spk_processing;
