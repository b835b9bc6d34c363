"""The invariants of journal and counters (docs/architecture.md), told from the tables alone.

`audit` reads a whole database and returns what does not hold, each finding as a sentence; an
empty list means that promises 1 to 4 and 6 left no trace of having been broken. It is for tests:
after a normal one, after a crash, after a load.
"""

from __future__ import annotations

import struct
from typing import Final

from processing.kernel.database import Connection

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
    "an event's amounts differ from its lines": """
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
                    sum(n.paid_kopecks)::bigint AS paid,
                    CASE WHEN n.message_class = 4 THEN -1 ELSE 1 END AS sign
                FROM journal.line AS n
                GROUP BY n.business_date, n.terminal_id, n.stan, n.message_class, n.assigned,
                    n.bucket, n.line_no
            ) AS t
            GROUP BY t.business_date, t.terminal_id, t.stan, t.message_class, t.assigned, t.bucket
        ) AS l USING (business_date, terminal_id, stan, message_class, assigned, bucket)
        WHERE (e.covered_kopecks, e.paid_kopecks) IS DISTINCT FROM (l.covered, l.paid)
            OR e.stan IS NULL OR l.gaps
    """,
    "a part of a line has the wrong sign": """
        SELECT n.terminal_id, n.stan, n.message_class, n.line_no, n.part
        FROM journal.line AS n
        CROSS JOIN LATERAL (SELECT CASE WHEN n.message_class = 4 THEN -1 ELSE 1 END AS sign) AS s
        WHERE least(
            n.quantity * sign, n.gross_kopecks * sign, n.covered_kopecks * sign,
            n.paid_kopecks * sign, n.debited * sign, n.excess * sign
        ) < 0
    """,
    "a declined event has amounts, or an approved sale or a code is missing": """
        SELECT e.terminal_id, e.stan, e.message_class, e.outcome, e.approval_code
        FROM journal.event AS e
        WHERE (e.outcome < 700 AND e.covered_kopecks IS NOT NULL)
            OR (e.kind = 3 AND e.outcome > 700 AND e.covered_kopecks IS NULL)
            OR (e.outcome > 700) <> (e.approval_code ~ '^[0-9]{6}$')
            OR (e.outcome < 700) <> (e.approval_code = '')
            OR (e.outcome = 701 AND NOT e.advice)
    """,
    "something but an advice has an excess": """
        SELECT n.terminal_id, n.stan, n.message_class, n.line_no, n.excess
        FROM journal.line AS n
        INNER JOIN journal.event AS e
            USING (business_date, terminal_id, stan, message_class, assigned)
        WHERE n.excess > 0 AND NOT e.advice
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
        SELECT r.terminal_id, r.stan AS reversal_stan, r.parent_stan
        FROM journal.event AS r
        WHERE r.kind = 6 AND r.message_class = 4 AND r.covered_kopecks IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM journal.event AS o
                WHERE (o.business_date, o.terminal_id, o.stan, o.message_class)
                    = (r.parent_business_date, r.parent_terminal_id, r.parent_stan,
                        r.parent_message_class)
                    AND (o.card_id, o.holder_id, o.bucket) = (r.card_id, r.holder_id, r.bucket)
                    AND NOT EXISTS (
                        SELECT FROM (
                            SELECT n.* FROM journal.line AS n
                            WHERE (n.business_date, n.terminal_id, n.stan, n.message_class,
                                n.assigned) = (o.business_date, o.terminal_id, o.stan,
                                o.message_class, o.assigned)
                            UNION ALL
                            SELECT n.* FROM journal.line AS n
                            WHERE (n.business_date, n.terminal_id, n.stan, n.message_class,
                                n.assigned) = (r.business_date, r.terminal_id, r.stan,
                                r.message_class, r.assigned)
                        ) AS x
                        GROUP BY x.line_no, x.part, x.item, x.allowance_id, x.period_start
                        HAVING (sum(x.quantity), sum(x.gross_kopecks), sum(x.covered_kopecks),
                            sum(x.debited), sum(x.excess)) <> (0, 0, 0, 0, 0)
                    )
            )
    """,
    "a transaction is taken back twice, or without a claim": """
        SELECT r.parent_terminal_id, r.parent_stan, count(*) AS times, count(v.stan) AS claims
        FROM journal.event AS r
        LEFT JOIN journal.reversal AS v
            ON (v.business_date, v.terminal_id, v.stan, v.message_class)
            = (r.parent_business_date, r.parent_terminal_id, r.parent_stan,
                r.parent_message_class)
            AND (v.reversal_business_date, v.reversal_stan) = (r.business_date, r.stan)
        WHERE r.message_class = 4 AND r.covered_kopecks IS NOT NULL
        GROUP BY r.parent_business_date, r.parent_terminal_id, r.parent_stan,
            r.parent_message_class
        HAVING count(*) <> 1 OR count(v.stan) <> 1
    """,
    "a claim names no reversal": """
        SELECT v.terminal_id, v.stan FROM journal.reversal AS v
        WHERE NOT EXISTS (
            SELECT FROM journal.event AS r
            WHERE (r.business_date, r.terminal_id, r.stan, r.message_class)
                = (v.reversal_business_date, v.terminal_id, v.reversal_stan, 4)
        )
    """,
    "facts are not a few short texts": """
        SELECT e.terminal_id, e.stan, e.facts FROM journal.event AS e
        WHERE (SELECT count(*) > 4 OR bool_or(jsonb_typeof(f.value) <> 'string')
            FROM jsonb_each(e.facts) AS f)
    """,
}

_REQUESTS: Final = """
    SELECT e.terminal_id, e.stan, e.message_class, e.assigned, e.request, (
        SELECT array_agg(ROW(t.line_no, t.item, t.quantity, t.gross) ORDER BY t.line_no)
        FROM (
            SELECT n.line_no, n.item, sum(n.quantity)::bigint AS quantity,
                sum(n.gross_kopecks)::bigint AS gross
            FROM journal.line AS n
            WHERE (n.business_date, n.terminal_id, n.stan, n.message_class, n.assigned)
                = (e.business_date, e.terminal_id, e.stan, e.message_class, e.assigned)
            GROUP BY n.line_no, n.item
        ) AS t
    ) AS lines
    FROM journal.event AS e WHERE e.kind = 3 AND e.covered_kopecks IS NOT NULL
"""


async def audit(connection: Connection) -> list[str]:
    """Return every finding; `connection` must be able to read rights and journal."""
    findings = []
    for name, query in _CHECKS.items():
        findings += [f"{name}: {dict(row)}" for row in await connection.fetch(query)]
    for row in await connection.fetch(_REQUESTS):
        kept = [tuple(line) for line in row["lines"]]
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
