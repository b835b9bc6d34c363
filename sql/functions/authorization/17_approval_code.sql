-- Six digits for people to quote (DE38). Not unique: a transaction is named by its key.
CREATE OR REPLACE FUNCTION engine.approval_code(p_lane smallint, p_block bigint, p_place integer)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN lpad(((p_block * 7919 + p_place * 104729 + p_lane * 31) % 1000000)::text, 6, '0');
