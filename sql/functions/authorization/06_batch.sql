-- Requests of a batch as rows: those named by their ordinals, in this order.
CREATE OR REPLACE FUNCTION engine.requests_of(p_batch engine.batch, p_ordinals integer[])
RETURNS engine.request[]
LANGUAGE sql STABLE AS $$
    SELECT array_agg(ROW(
        n, (p_batch).bucket[n], (p_batch).business_date[n], (p_batch).terminal_id[n],
        (p_batch).stan[n], (p_batch).message_class[n], 0, FALSE, (p_batch).kind[n],
        (p_batch).advice[n], (p_batch).evidence[n], (p_batch).proof[n], (p_batch).card_id[n],
        (p_batch).holder_id[n], (p_batch).service[n], (p_batch).service_version[n],
        (p_batch).parent_business_date[n], (p_batch).parent_terminal_id[n],
        (p_batch).parent_stan[n], (p_batch).parent_message_class[n],
        engine.at_time((p_batch).signed_at_ms[n]), substring((p_batch).paper[n] FROM 1 FOR 32),
        substring((p_batch).paper[n] FROM 33 + (p_batch).signature_bytes[n]),
        substring((p_batch).paper[n] FROM 33 FOR (p_batch).signature_bytes[n])
    )::engine.request ORDER BY n)
    FROM unnest(p_ordinals) AS n
$$;

-- The lines of a batch as rows.
CREATE OR REPLACE FUNCTION engine.batch_lines(p_batch engine.batch) RETURNS engine.line[]
LANGUAGE sql STABLE AS $$
    SELECT array_agg(ROW(
        l.ordinal, l.line_no, l.item, l.quantity, l.unit_okei, l.scale, l.gross_kopecks
    )::engine.line)
    FROM unnest(
        (p_batch).line_ordinal, (p_batch).line_no, (p_batch).item, (p_batch).quantity,
        (p_batch).unit_okei, (p_batch).scale, (p_batch).gross_kopecks
    ) AS l (ordinal, line_no, item, quantity, unit_okei, scale, gross_kopecks)
$$;
