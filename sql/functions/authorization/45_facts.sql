-- The facts that explain a refusal, in codes and numbers (texts are the terminal's): those of its
-- reason, and of a conflict the reason itself as well.
CREATE OR REPLACE FUNCTION engine.facts(
    p_ruling engine.ruling, p_claim engine.claim, p_judgement engine.judgement
) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE p_ruling.outcome
        WHEN 701
            THEN coalesce(f.facts, '{}') || jsonb_build_object('reason', p_ruling.reason::text)
        ELSE f.facts
    END
    FROM (
        SELECT CASE p_ruling.reason
            WHEN 405 THEN jsonb_strip_nulls(jsonb_build_object(
                'line', p_claim.line_no::text, 'item', p_claim.item,
                'unit', p_claim.unit_okei::text
            ))
            WHEN 601 THEN jsonb_build_object('item', p_claim.item)
            WHEN 602 THEN jsonb_build_object(
                'item', p_claim.item, 'remaining', p_ruling.remaining::text,
                'until', p_claim.period_end
            )
            WHEN 702 THEN jsonb_build_object(
                'item', p_claim.item, 'remaining', coalesce(p_ruling.remaining, 0)::text
            )
            ELSE p_judgement.facts
        END AS facts
    ) AS f
$$;
