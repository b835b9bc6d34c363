-- One row per import, with its sums; no personal data.
CREATE OR REPLACE VIEW register.import_overview AS
SELECT
    i.import_id,
    i.kind,
    i.source,
    i.file_name,
    i.file_sha256,
    i.form::text AS form,
    i.header::text AS header,
    i.opening,
    -- a request to undo it may have been approved since
    CASE WHEN u.change_id IS NOT NULL THEN 'undone' ELSE i.state END AS state,
    i.started_by,
    i.started_at,
    i.ended_at,
    i.decided_by,
    i.decided_at,
    i.decision_reason,
    i.change_id,
    u.change_id AS undone_by,
    k.creates_rights,
    c.chunks,
    c.chunks_written,
    c.record_count,
    c.blank_count,
    c.row_count,
    c.created_count,
    c.changed_count,
    c.unchanged_count,
    c.rejected_count,
    c.waiting_count
FROM register.import AS i
INNER JOIN register.record_kind AS k ON i.kind = k.kind
LEFT JOIN register.change AS u ON i.change_id = u.undoes
CROSS JOIN LATERAL (
    SELECT
        count(*)::integer AS chunks,
        (count(*) FILTER (WHERE p.is_written))::integer AS chunks_written,
        coalesce(sum(p.record_count), 0)::bigint AS record_count,
        coalesce(sum(p.blank_count), 0)::bigint AS blank_count,
        coalesce(sum(p.row_count), 0)::bigint AS row_count,
        coalesce(sum(p.created_count), 0)::bigint AS created_count,
        coalesce(sum(p.changed_count), 0)::bigint AS changed_count,
        coalesce(sum(p.unchanged_count), 0)::bigint AS unchanged_count,
        coalesce(sum(p.rejected_count), 0)::bigint AS rejected_count,
        coalesce(sum(p.waiting_count), 0)::bigint AS waiting_count
    FROM register.import_chunk AS p
    WHERE p.import_id = i.import_id
) AS c;

GRANT SELECT ON register.import_overview TO spk_register;

-- The chunks of an import, with the lines of the file that they hold.
CREATE OR REPLACE VIEW register.import_progress AS
SELECT
    p.import_id,
    p.chunk,
    p.first_line,
    p.last_line,
    p.is_written
FROM register.import_chunk AS p;

GRANT SELECT ON register.import_progress TO spk_register;
