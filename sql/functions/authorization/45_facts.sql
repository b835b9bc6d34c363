-- The facts that explain a refusal, in codes and numbers (texts are the terminal's): those of its
-- reason, and of a conflict the reason itself as well.
CREATE OR REPLACE FUNCTION engine.facts(
    p_outcome smallint, p_reason smallint, p_line_no smallint, p_item text, p_unit_okei smallint,
    p_remaining bigint, p_until date, p_card_valid_to date, p_latest_version integer,
    p_decided_at timestamptz, p_signed_at timestamptz
) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE p_outcome
        WHEN 701 THEN coalesce(f.facts, '{}') || jsonb_build_object('reason', p_reason::text)
        ELSE f.facts
    END
    FROM (
        SELECT CASE p_reason
            WHEN 203 THEN jsonb_build_object(
                'centre', to_char(p_decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                'signed', to_char(p_signed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            )
            WHEN 304 THEN jsonb_build_object('valid_to', p_card_valid_to)
            WHEN 403 THEN jsonb_build_object('version', p_latest_version::text)
            WHEN 405 THEN jsonb_strip_nulls(jsonb_build_object(
                'line', p_line_no::text, 'item', p_item, 'unit', p_unit_okei::text
            ))
            WHEN 601 THEN jsonb_build_object('item', p_item)
            WHEN 602 THEN jsonb_build_object(
                'item', p_item, 'remaining', p_remaining::text, 'until', p_until
            )
            WHEN 702 THEN jsonb_build_object(
                'item', p_item, 'remaining', coalesce(p_remaining, 0)::text
            )
        END AS facts
    ) AS f
$$;
