-- Keep an issued stop-list. A complete one (p_number = p_base) comes with its cards, 16 bytes each
-- in one string: what increments are counted from. The files before it go then; an increment takes
-- the place of the one before. A number that another issued meanwhile fails as taken.
CREATE OR REPLACE FUNCTION cards.keep_stop_list(
    p_number integer, p_base integer, p_issued_at timestamptz, p_stopped integer, p_body bytea,
    p_members bytea
) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM cards.stop_list AS l
    WHERE l.number < p_number AND (p_number = p_base OR l.number <> l.base);

    INSERT INTO cards.stop_list (number, base, issued_at, stopped, body)
    VALUES (p_number, p_base, p_issued_at, p_stopped, p_body);

    DELETE FROM cards.stop_list_member WHERE p_number = p_base;

    INSERT INTO cards.stop_list_member (card_id)
    SELECT encode(substring(p_members FROM 16 * n.place + 1 FOR 16), 'hex')::uuid
    FROM generate_series(0, length(p_members) / 16 - 1) AS n (place)
    WHERE p_number = p_base
$$;
REVOKE ALL ON FUNCTION cards.keep_stop_list(
    integer, integer, timestamptz, integer, bytea, bytea
) FROM public;
GRANT EXECUTE ON FUNCTION cards.keep_stop_list(
    integer, integer, timestamptz, integer, bytea, bytea
) TO spk_issuing;
