"""The invariants of journal and counters (docs/architecture.md), told from the tables alone.

`audit` reads a whole database and returns what does not hold, each finding as a sentence; an
empty list means that promises 1 to 4 and 6 left no trace of having been broken. It is for tests:
after a normal one, after a crash, after a load.
"""

from __future__ import annotations

import struct
from typing import Final

from processing.kernel.database import Connection
from processing.wire.transaction import Kind

# Return, reversal and expiry have the opposite sign; but not the reversal of a return.
_SIGN: Final = """
    CASE WHEN e.kind = 6 AND e.facts ->> 'original' = 'return' THEN 1
        WHEN e.kind IN (5, 6, 9) THEN -1 ELSE 1 END
"""

_CHECKS: Final = {
    "a counter differs from the debits in the journal": """
        SELECT coalesce(c.allowance_id, l.allowance_id) AS allowance, c.used, l.debited
        FROM rights.counter AS c
        FULL JOIN (
            SELECT n.bucket, n.allowance_id, n.period_start, sum(n.debited) AS debited
            FROM journal.line AS n WHERE n.allowance_id IS NOT NULL
            GROUP BY n.bucket, n.allowance_id, n.period_start
        ) AS l USING (bucket, allowance_id, period_start)
        WHERE coalesce(c.used, 0) <> coalesce(l.debited, 0)
    """,
    "an allowance is overspent": """
        SELECT c.allowance_id, c.used, c.granted, w.granted AS allowance_granted
        FROM rights.counter AS c
        LEFT JOIN rights.allowance AS w USING (bucket, allowance_id)
        WHERE c.used > c.granted OR c.used < 0 OR w.allowance_id IS NULL
    """,
    "an event's amounts differ from its lines": f"""
        SELECT e.terminal_id, e.stan, e.message_class, e.covered_kopecks, l.covered
        FROM journal.event AS e
        FULL JOIN (
            SELECT t.business_date, t.terminal_id, t.stan, t.message_class, t.assigned, t.bucket,
                array_agg(t.covered * t.sign ORDER BY t.line_no) AS covered,
                array_agg(t.paid * t.sign ORDER BY t.line_no) AS paid,
                (min(t.line_no), max(t.line_no)) <> (1, count(*)) AS gaps
            FROM (
                SELECT n.business_date, n.terminal_id, n.stan, n.message_class, n.assigned,
                    n.bucket, n.line_no, sum(n.covered_kopecks)::bigint AS covered,
                    sum(n.paid_kopecks)::bigint AS paid, coalesce(min({_SIGN}), 1) AS sign
                FROM journal.line AS n
                LEFT JOIN journal.event AS e
                    USING (business_date, terminal_id, stan, message_class, assigned)
                WHERE n.part > 0
                GROUP BY n.business_date, n.terminal_id, n.stan, n.message_class, n.assigned,
                    n.bucket, n.line_no
            ) AS t
            GROUP BY t.business_date, t.terminal_id, t.stan, t.message_class, t.assigned, t.bucket
        ) AS l USING (business_date, terminal_id, stan, message_class, assigned, bucket)
        WHERE (e.covered_kopecks, e.paid_kopecks) IS DISTINCT FROM (l.covered, l.paid)
            OR e.stan IS NULL OR l.gaps
    """,  # noqa: S608 - the sign is written here
    "a part of a line has the wrong sign": f"""
        SELECT n.terminal_id, n.stan, n.message_class, n.line_no, n.part
        FROM journal.line AS n
        INNER JOIN journal.event AS e
            USING (business_date, terminal_id, stan, message_class, assigned)
        CROSS JOIN LATERAL (
            SELECT CASE WHEN n.part < 0 THEN -1 ELSE {_SIGN} END AS sign
        ) AS s
        WHERE least(
            n.quantity * sign, n.gross_kopecks * sign, n.covered_kopecks * sign,
            n.paid_kopecks * sign, n.debited * sign, n.excess * sign
        ) < 0
    """,  # noqa: S608
    "a declined event has amounts, or an approved sale or a code is missing": """
        SELECT e.terminal_id, e.stan, e.message_class, e.outcome, e.approval_code
        FROM journal.event AS e
        WHERE (e.outcome < 700 AND e.covered_kopecks IS NOT NULL)
            OR (e.kind IN (2, 3, 4, 5, 7, 8, 9) AND e.outcome > 700 AND e.covered_kopecks IS NULL)
            OR (e.outcome > 700) <> (e.approval_code ~ '^[0-9]{6}$')
            OR (e.outcome < 700) <> (e.approval_code = '')
            OR (e.outcome = 701 AND NOT e.advice)
    """,
    "something but an advice has an excess": """
        SELECT n.terminal_id, n.stan, n.message_class, n.line_no, n.excess
        FROM journal.line AS n
        INNER JOIN journal.event AS e
            USING (business_date, terminal_id, stan, message_class, assigned)
        -- the reversal of a return gives an advice's excess back
        WHERE n.excess > 0 AND NOT e.advice AND e.kind <> 6
    """,
    "a block differs from its events": """
        SELECT lane, block, b.leaf_count, e.ordinals
        FROM journal.block AS b
        FULL JOIN (
            SELECT n.lane, n.block, array_agg(n.ordinal ORDER BY n.ordinal) AS ordinals
            FROM journal.event AS n GROUP BY n.lane, n.block
        ) AS e USING (lane, block)
        WHERE e.ordinals IS DISTINCT FROM
            array(SELECT s::smallint FROM generate_series(0, b.leaf_count - 1) AS s)
    """,
    "a lane has a gap": """
        SELECT b.lane, min(b.block), max(b.block), count(*) FROM journal.block AS b
        GROUP BY b.lane HAVING min(b.block) <> 1 OR max(b.block) <> count(*)
    """,
    "a reversal and its original do not net to zero": """
        SELECT r.terminal_id, r.stan AS reversal_stan, c.stan, c.undoes
        FROM journal.event AS r
        INNER JOIN journal.child AS c
            ON (c.child_business_date, c.child_terminal_id, c.child_stan, c.child_message_class,
                c.child_assigned)
            = (r.business_date, r.terminal_id, r.stan, r.message_class, r.assigned)
        WHERE r.kind = 6 AND r.covered_kopecks IS NOT NULL AND EXISTS (
            SELECT FROM (
                -- the original, and the reversal with all else that happened to it
                SELECT n.* FROM journal.line AS n
                WHERE c.undoes = 0 AND (n.business_date, n.terminal_id, n.stan, n.message_class,
                    n.assigned) = (c.business_date, c.terminal_id, c.stan, c.message_class,
                    c.assigned)
                UNION ALL
                SELECT n.* FROM journal.line AS n
                INNER JOIN journal.child AS m
                    ON (n.business_date, n.terminal_id, n.stan, n.message_class, n.assigned)
                    = (m.child_business_date, m.child_terminal_id, m.child_stan,
                        m.child_message_class, m.child_assigned)
                WHERE (m.business_date, m.terminal_id, m.stan, m.message_class, m.assigned)
                    = (c.business_date, c.terminal_id, c.stan, c.message_class, c.assigned)
                    AND (c.undoes = 0 OR m.child_no IN (c.undoes, c.child_no))
            ) AS x
            WHERE x.part > 0
            GROUP BY x.line_no, x.part, x.item, x.allowance_id, x.period_start
            HAVING (sum(x.quantity), sum(x.gross_kopecks), sum(x.covered_kopecks),
                sum(x.debited), sum(x.excess)) <> (0, 0, 0, 0, 0)
        )
    """,
    "more came back than was sold": """
        SELECT e.terminal_id, e.stan, x.line_no, x.part
        FROM journal.event AS e
        INNER JOIN (
            SELECT n.business_date, n.terminal_id, n.stan, n.message_class, n.assigned, n.line_no,
                n.part, n.quantity, n.gross_kopecks, n.covered_kopecks, n.debited
            FROM journal.line AS n
            UNION ALL
            SELECT m.business_date, m.terminal_id, m.stan, m.message_class, m.assigned, n.line_no,
                n.part, n.quantity, n.gross_kopecks, n.covered_kopecks, n.debited
            FROM journal.line AS n
            INNER JOIN journal.child AS m
                ON (n.business_date, n.terminal_id, n.stan, n.message_class, n.assigned)
                = (m.child_business_date, m.child_terminal_id, m.child_stan,
                    m.child_message_class, m.child_assigned)
        ) AS x USING (business_date, terminal_id, stan, message_class, assigned)
        WHERE e.kind IN (3, 4, 8) AND x.part BETWEEN 1 AND 99
        GROUP BY e.terminal_id, e.stan, e.business_date, e.message_class, e.assigned, x.line_no,
            x.part
        HAVING least(sum(x.quantity), sum(x.gross_kopecks), sum(x.covered_kopecks),
            sum(x.debited)) < 0
    """,
    "a transaction is taken back twice, or without a claim": """
        SELECT r.terminal_id, r.stan, r.kind
        FROM journal.event AS r
        WHERE r.covered_kopecks IS NOT NULL AND (
            r.kind IN (6, 9) OR r.kind IN (4, 5, 8) AND r.outcome = 703
            OR r.kind = 4 AND (SELECT sum(k) FROM unnest(r.covered_kopecks) AS k) > 0
        ) AND (
            SELECT count(*) FROM journal.child AS c
            WHERE (c.child_business_date, c.child_terminal_id, c.child_stan,
                c.child_message_class, c.child_assigned, c.kind)
                = (r.business_date, r.terminal_id, r.stan, r.message_class, r.assigned, r.kind)
        ) <> 1
        UNION ALL
        SELECT c.terminal_id, c.stan, max(c.kind)
        FROM journal.child AS c WHERE c.undoes IS NOT NULL
        GROUP BY c.business_date, c.terminal_id, c.stan, c.message_class, c.assigned, c.undoes
        HAVING count(*) > 1
    """,
    "a claim names nobody": """
        SELECT c.terminal_id, c.stan, c.child_stan FROM journal.child AS c
        WHERE NOT EXISTS (
            SELECT FROM journal.event AS r
            WHERE (r.business_date, r.terminal_id, r.stan, r.message_class, r.assigned, r.kind,
                r.bucket)
                = (c.child_business_date, c.child_terminal_id, c.child_stan,
                    c.child_message_class, c.child_assigned, c.kind, c.bucket)
        ) OR NOT EXISTS (
            SELECT FROM journal.event AS o
            WHERE (o.business_date, o.terminal_id, o.stan, o.message_class, o.assigned)
                = (c.business_date, c.terminal_id, c.stan, c.message_class, c.assigned)
        )
    """,
    "children are not numbered from 1": """
        SELECT c.terminal_id, c.stan, count(*), max(c.child_no) FROM journal.child AS c
        GROUP BY c.business_date, c.terminal_id, c.stan, c.message_class, c.assigned
        HAVING (min(c.child_no), max(c.child_no)) <> (1, count(*))
    """,
    "a reservation is ended twice, or by what ends none": """
        SELECT e.terminal_id, e.stan, array_agg(c.kind) AS kinds
        FROM journal.event AS e
        INNER JOIN journal.child AS c
            USING (business_date, terminal_id, stan, message_class, assigned)
        WHERE e.kind IN (2, 7)
        GROUP BY e.business_date, e.terminal_id, e.stan, e.message_class, e.assigned
        HAVING count(*) > 1 OR NOT bool_and(c.kind IN (4, 6, 8, 9))
    """,
    "the open reservations are not those that nothing ended": """
        SELECT terminal_id, stan, r.expires_at, e.facts
        FROM rights.reservation AS r
        FULL JOIN (
            SELECT n.* FROM journal.event AS n
            WHERE n.kind IN (2, 7) AND n.outcome > 700 AND n.facts ? 'expires' AND NOT EXISTS (
                SELECT FROM journal.child AS c
                WHERE (c.business_date, c.terminal_id, c.stan, c.message_class, c.assigned)
                    = (n.business_date, n.terminal_id, n.stan, n.message_class, n.assigned)
            )
        ) AS e USING (bucket, business_date, terminal_id, stan, assigned)
        WHERE r.expires_at IS DISTINCT FROM (e.facts ->> 'expires')::timestamptz
    """,
    "what a reservation held did not come back when it ended": """
        SELECT c.terminal_id, c.stan, c.kind, x.line_no, x.part
        FROM journal.child AS c
        CROSS JOIN LATERAL (
            SELECT abs(n.part) AS part, n.line_no, n.allowance_id, n.period_start, n.debited,
                n.excess
            FROM journal.line AS n
            WHERE (n.business_date, n.terminal_id, n.stan, n.message_class, n.assigned)
                = (c.business_date, c.terminal_id, c.stan, c.message_class, c.assigned)
            UNION ALL
            SELECT abs(n.part), n.line_no, n.allowance_id, n.period_start, n.debited, n.excess
            FROM journal.line AS n
            WHERE (n.business_date, n.terminal_id, n.stan, n.message_class, n.assigned)
                = (c.child_business_date, c.child_terminal_id, c.child_stan,
                    c.child_message_class, c.child_assigned)
                AND (n.part < 0) = (c.kind IN (4, 8))
        ) AS x
        WHERE c.message_class = 1
        GROUP BY c.terminal_id, c.stan, c.kind, x.line_no, x.part, x.allowance_id, x.period_start
        HAVING (sum(x.debited), sum(x.excess)) <> (0, 0)
    """,
    "facts are not a few short texts": """
        SELECT e.terminal_id, e.stan, e.facts FROM journal.event AS e
        WHERE (SELECT count(*) > 4 OR bool_or(jsonb_typeof(f.value) <> 'string')
            FROM jsonb_each(e.facts) AS f)
    """,
}

_REQUESTS: Final = """
    SELECT e.terminal_id, e.stan, e.message_class, e.assigned, e.kind, e.request, (
        SELECT array_agg(ROW(t.line_no, t.item, t.quantity, t.gross) ORDER BY t.line_no)
        FROM (
            SELECT n.line_no, n.item, sum(n.quantity)::bigint AS quantity,
                sum(n.gross_kopecks)::bigint AS gross
            FROM journal.line AS n
            WHERE (n.business_date, n.terminal_id, n.stan, n.message_class, n.assigned)
                = (e.business_date, e.terminal_id, e.stan, e.message_class, e.assigned)
                AND n.part > 0
            GROUP BY n.line_no, n.item
        ) AS t
    ) AS lines
    FROM journal.event AS e WHERE e.kind IN (2, 3, 4, 5, 7, 8) AND e.covered_kopecks IS NOT NULL
"""


async def audit(connection: Connection) -> list[str]:
    """Return every finding; `connection` must be able to read rights and journal."""
    findings = []
    for name, query in _CHECKS.items():
        findings += [f"{name}: {dict(row)}" for row in await connection.fetch(query)]
    for row in await connection.fetch(_REQUESTS):
        sign = -1 if row["kind"] == Kind.RETURN else 1
        kept = [
            (number, item, sign * quantity, sign * gross)
            for number, item, quantity, gross in row["lines"] or ()
        ]
        asked = [(number, *line) for number, line in enumerate(lines_of(row["request"]), 1)]
        if kept != asked:
            place = tuple(row.values())[:4]
            findings.append(f"the parts of {place} do not add up: asked {asked}, kept {kept}")
    return findings


def lines_of(canonical: bytes) -> list[tuple[str, int, int]]:
    """Return item, quantity and gross kopecks of each line of a canonical request."""
    at = 16 + 5 + 16 + 16 + 18 + 20
    at += 1 + canonical[at]
    at += 19 if canonical[at] else 1
    at += 1 + canonical[at]
    at += 12 + 16 + 8
    count = canonical[at]
    at += 1
    lines = []
    for _ in range(count):
        end = at + 1 + canonical[at]
        quantity, _, _, gross = struct.unpack_from(">QHBQ", canonical, end)
        lines.append((canonical[at + 1 : end].decode("ascii"), quantity, gross))
        at = end + 19
    assert at == len(canonical), "the canonical bytes have another form than digest v1"
    return lines
