"""What the naive reference is sent: one sale as JSON, signed by the card, without any MAC."""

from __future__ import annotations

import hashlib

import msgspec

from bench.traffic import Draft, Sales


class NaiveSale(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST /sale. `signature` is r‖s in hex over `signed_text`."""

    terminal: str
    business_date: str
    stan: int
    card: str
    holder: str
    item: str
    quantity: int
    gross_kopecks: int
    signature: str

    @property
    def signed_text(self) -> bytes:
        """Return what the card signs."""
        return (
            f"{self.terminal}|{self.business_date}|{self.stan}|{self.card}|{self.holder}"
            f"|{self.item}|{self.quantity}|{self.gross_kopecks}"
        ).encode("ascii")


def naive_sale(sales: Sales, draft: Draft) -> NaiveSale:
    """Return a sale of one line, signed."""
    request = sales.request(draft, 0)
    line = request.lines[0]
    sale = NaiveSale(
        terminal=request.key.terminal_id,
        business_date=request.key.business_date.isoformat(),
        stan=request.key.stan,
        card=draft.card_id.hex(),
        holder=draft.holder_id.hex(),
        item=line.item,
        quantity=line.quantity,
        gross_kopecks=line.gross_kopecks,
        signature="",
    )
    digest = hashlib.sha256(sale.signed_text).digest()
    signature = sales.signature(draft, digest)
    return msgspec.structs.replace(sale, signature=signature.hex())


def naive_message(sales: Sales, draft: Draft) -> bytes:
    """Return the HTTP request of a sale."""
    body = msgspec.json.encode(naive_sale(sales, draft))
    head = (
        "POST /sale HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
