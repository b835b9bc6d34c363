-- The facts that explain a refusal, in codes and numbers (texts are the terminal's).
CREATE OR REPLACE FUNCTION engine.facts(
    p_ruling engine.ruling, p_claim engine.claim, p_judgement engine.judgement
) RETURNS jsonb
LANGUAGE sql STABLE
RETURN CASE p_ruling.outcome
    WHEN 703 THEN NULL
    WHEN 405 THEN jsonb_build_object(
        'line', p_claim.line_no::text, 'item', p_claim.item,
        'unit', coalesce(p_claim.allowance_unit_okei, p_claim.unit_okei)::text
    )
    WHEN 601 THEN jsonb_build_object('item', p_claim.item)
    WHEN 602 THEN jsonb_build_object(
        'item', p_claim.item, 'remaining', p_ruling.remaining::text, 'until', p_claim.period_end
    )
    WHEN 702 THEN jsonb_build_object(
        'item', p_claim.item, 'remaining', coalesce(p_ruling.remaining, 0)::text
    )
    WHEN 701 THEN coalesce(p_judgement.facts, '{}') || CASE
        WHEN p_judgement.refusal IS NOT NULL
            THEN jsonb_build_object('reason', p_judgement.refusal::text)
        ELSE jsonb_strip_nulls(jsonb_build_object(
            'item', p_claim.item, 'remaining', coalesce(p_ruling.remaining, 0)::text
        ))
    END
    ELSE p_judgement.facts
END;
