-- The facts that explain a refusal, in codes and numbers (texts are the terminal's): those of its
-- reason, and of a conflict the reason itself as well. A reserve that holds something (its
-- p_reserve_minutes are more than 0, and nothing was against it but a short allowance) tells when
-- it ends, in place of when the allowance begins anew: there is room for four facts.
CREATE OR REPLACE FUNCTION engine.facts(
    p_outcome smallint, p_reason smallint, p_line_no smallint, p_item text, p_unit_okei smallint,
    p_remaining bigint, p_until date, p_card_valid_to date, p_latest_version integer,
    p_decided_at timestamptz, p_signed_at timestamptz, p_reserve_minutes integer
) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN p_outcome > 700 AND p_reserve_minutes > 0 AND p_reason > 600
            THEN (coalesce(e.facts, '{}') - 'until') || jsonb_build_object('expires', engine.utc_text(
                p_decided_at + p_reserve_minutes * interval '1 minute'
            ))
        ELSE e.facts
    END
    FROM (
        SELECT CASE p_outcome
            WHEN 701 THEN coalesce(f.facts, '{}') || jsonb_build_object('reason', p_reason::text)
            ELSE f.facts
        END AS facts
        FROM (
            SELECT CASE p_reason
                WHEN 203 THEN jsonb_build_object(
                    'centre', engine.utc_text(p_decided_at),
                    'signed', engine.utc_text(p_signed_at)
                )
                WHEN 304 THEN jsonb_build_object('valid_to', p_card_valid_to)
                WHEN 403 THEN jsonb_strip_nulls(jsonb_build_object(
                    'version', p_latest_version::text,
                    'reserve', CASE WHEN p_reserve_minutes = 0 THEN 'no' END
                ))
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
    ) AS e
$$;
