"""ISO 8583:1987 as data: type, length and name of every field, and the two port profiles.

The codec reads this table and knows no field by name. Texts and lengths are ASCII; both bitmaps
are sixteen hex characters A-F 0-9 each, in both profiles. Fields 1 and 65 are bitmaps: field 1 is
read before the fields, and field 65 (a third bitmap) is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum
from typing import Final

import msgspec

FIELD_MAX: Final = 128
MAC_BYTES: Final = 8
HEX_DIGITS: Final = b"0123456789ABCDEF"


class Profile(Enum):
    """How a port carries binary fields (52, 55, 64, 96, 128).

    BINARY: raw bytes. HEX: upper-case hex characters; a length then counts characters. HEX is for
    libraries that treat every field as text.
    """

    BINARY = "binary"
    HEX = "hex"


class Length(IntEnum):
    """The value is the number of ASCII digits that carry a field's length; 0 is a fixed length."""

    FIXED = 0
    LL = 2
    LLL = 3


class Charset(Enum):
    """What a field may hold; the value is how an error names it."""

    DIGITS = "digits 0-9"
    ALNUM = "characters A-Z a-z 0-9"
    TEXT = "printable ASCII characters"
    TRACK = "digits, = and D"
    SIGNED = "C or D and then digits"
    BINARY = "bytes"

    @property
    def holds(self) -> Callable[[bytes], bool]:
        """Return the test whether a value consists of this character set (any length)."""
        return _HOLDS[self]


def _only(allowed: bytes) -> Callable[[bytes], bool]:
    return lambda value: not value.translate(None, allowed)


_HOLDS: Final[dict[Charset, Callable[[bytes], bool]]] = {
    Charset.DIGITS: lambda value: not value or value.isdigit(),
    Charset.ALNUM: lambda value: not value or value.isalnum(),
    Charset.TEXT: _only(bytes(range(0x20, 0x7F))),
    Charset.TRACK: _only(b"0123456789=D"),
    Charset.SIGNED: lambda value: value[:1] in (b"C", b"D") and value[1:].isdigit(),
    Charset.BINARY: lambda value: True,
}


class FieldSpec(msgspec.Struct, frozen=True):
    """One field: what it holds, how its length travels, and its greatest (or fixed) length.

    `maximum` counts bytes of the value; a binary field takes twice as many characters in the HEX
    profile, and never more than its length prefix can say.
    """

    charset: Charset
    length: Length
    maximum: int
    name: str

    def wire_maximum(self, profile: Profile) -> int:
        """Return the most characters the value may take on a port of this profile."""
        if self.charset is not Charset.BINARY or profile is Profile.BINARY:
            return self.maximum
        doubled = 2 * self.maximum
        return doubled if self.length is Length.FIXED else min(doubled, 10**self.length - 2)

    def room(self, profile: Profile) -> int:
        """Return the most bytes of value that fit on a port of this profile."""
        characters = self.wire_maximum(profile)
        hexed = self.charset is Charset.BINARY and profile is Profile.HEX
        return characters // 2 if hexed else characters


FIELDS: Final[dict[int, FieldSpec]] = {
    2: FieldSpec(Charset.DIGITS, Length.LL, 19, "Primary account number"),
    3: FieldSpec(Charset.DIGITS, Length.FIXED, 6, "Processing code"),
    4: FieldSpec(Charset.DIGITS, Length.FIXED, 12, "Amount, transaction"),
    5: FieldSpec(Charset.DIGITS, Length.FIXED, 12, "Amount, settlement"),
    6: FieldSpec(Charset.DIGITS, Length.FIXED, 12, "Amount, cardholder billing"),
    7: FieldSpec(Charset.DIGITS, Length.FIXED, 10, "Transmission date and time"),
    8: FieldSpec(Charset.DIGITS, Length.FIXED, 8, "Amount, cardholder billing fee"),
    9: FieldSpec(Charset.DIGITS, Length.FIXED, 8, "Conversion rate, settlement"),
    10: FieldSpec(Charset.DIGITS, Length.FIXED, 8, "Conversion rate, cardholder billing"),
    11: FieldSpec(Charset.DIGITS, Length.FIXED, 6, "System trace audit number"),
    12: FieldSpec(Charset.DIGITS, Length.FIXED, 6, "Time, local transaction"),
    13: FieldSpec(Charset.DIGITS, Length.FIXED, 4, "Date, local transaction"),
    14: FieldSpec(Charset.DIGITS, Length.FIXED, 4, "Date, expiration"),
    15: FieldSpec(Charset.DIGITS, Length.FIXED, 4, "Date, settlement"),
    16: FieldSpec(Charset.DIGITS, Length.FIXED, 4, "Date, conversion"),
    17: FieldSpec(Charset.DIGITS, Length.FIXED, 4, "Date, capture"),
    18: FieldSpec(Charset.DIGITS, Length.FIXED, 4, "Merchant type"),
    19: FieldSpec(Charset.DIGITS, Length.FIXED, 3, "Acquiring institution country code"),
    20: FieldSpec(Charset.DIGITS, Length.FIXED, 3, "Account number country code"),
    21: FieldSpec(Charset.DIGITS, Length.FIXED, 3, "Forwarding institution country code"),
    22: FieldSpec(Charset.DIGITS, Length.FIXED, 3, "Point of service entry mode"),
    23: FieldSpec(Charset.DIGITS, Length.FIXED, 3, "Card sequence number"),
    24: FieldSpec(Charset.DIGITS, Length.FIXED, 3, "Network international identifier"),
    25: FieldSpec(Charset.DIGITS, Length.FIXED, 2, "Point of service condition code"),
    26: FieldSpec(Charset.DIGITS, Length.FIXED, 2, "Point of service PIN capture code"),
    27: FieldSpec(Charset.DIGITS, Length.FIXED, 1, "Authorization identification response length"),
    28: FieldSpec(Charset.SIGNED, Length.FIXED, 9, "Amount, transaction fee"),
    29: FieldSpec(Charset.SIGNED, Length.FIXED, 9, "Amount, settlement fee"),
    30: FieldSpec(Charset.SIGNED, Length.FIXED, 9, "Amount, transaction processing fee"),
    31: FieldSpec(Charset.SIGNED, Length.FIXED, 9, "Amount, settlement processing fee"),
    32: FieldSpec(Charset.DIGITS, Length.LL, 11, "Acquiring institution identification code"),
    33: FieldSpec(Charset.DIGITS, Length.LL, 11, "Forwarding institution identification code"),
    34: FieldSpec(Charset.TEXT, Length.LL, 28, "Primary account number, extended"),
    35: FieldSpec(Charset.TRACK, Length.LL, 37, "Track 2 data"),
    36: FieldSpec(Charset.TRACK, Length.LLL, 104, "Track 3 data"),
    37: FieldSpec(Charset.ALNUM, Length.FIXED, 12, "Retrieval reference number"),
    38: FieldSpec(Charset.ALNUM, Length.FIXED, 6, "Authorization identification response"),
    39: FieldSpec(Charset.ALNUM, Length.FIXED, 2, "Response code"),
    40: FieldSpec(Charset.ALNUM, Length.FIXED, 3, "Service restriction code"),
    41: FieldSpec(Charset.TEXT, Length.FIXED, 8, "Card acceptor terminal identification"),
    42: FieldSpec(Charset.TEXT, Length.FIXED, 15, "Card acceptor identification code"),
    43: FieldSpec(Charset.TEXT, Length.FIXED, 40, "Card acceptor name and location"),
    44: FieldSpec(Charset.TEXT, Length.LL, 25, "Additional response data"),
    45: FieldSpec(Charset.TEXT, Length.LL, 76, "Track 1 data"),
    46: FieldSpec(Charset.TEXT, Length.LLL, 999, "Additional data, ISO"),
    47: FieldSpec(Charset.TEXT, Length.LLL, 999, "Additional data, national"),
    48: FieldSpec(Charset.TEXT, Length.LLL, 999, "Additional data, private"),
    49: FieldSpec(Charset.ALNUM, Length.FIXED, 3, "Currency code, transaction"),
    50: FieldSpec(Charset.ALNUM, Length.FIXED, 3, "Currency code, settlement"),
    51: FieldSpec(Charset.ALNUM, Length.FIXED, 3, "Currency code, cardholder billing"),
    52: FieldSpec(Charset.BINARY, Length.FIXED, 8, "PIN data"),
    53: FieldSpec(Charset.DIGITS, Length.FIXED, 16, "Security related control information"),
    54: FieldSpec(Charset.TEXT, Length.LLL, 120, "Additional amounts"),
    55: FieldSpec(Charset.BINARY, Length.LLL, 999, "Integrated circuit card data"),
    56: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, ISO"),
    57: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, national"),
    58: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, national"),
    59: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, national"),
    60: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, national"),
    61: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, private"),
    62: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, private"),
    63: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, private"),
    64: FieldSpec(Charset.BINARY, Length.FIXED, 8, "Message authentication code"),
    66: FieldSpec(Charset.DIGITS, Length.FIXED, 1, "Settlement code"),
    67: FieldSpec(Charset.DIGITS, Length.FIXED, 2, "Extended payment code"),
    68: FieldSpec(Charset.DIGITS, Length.FIXED, 3, "Receiving institution country code"),
    69: FieldSpec(Charset.DIGITS, Length.FIXED, 3, "Settlement institution country code"),
    70: FieldSpec(Charset.DIGITS, Length.FIXED, 3, "Network management information code"),
    71: FieldSpec(Charset.DIGITS, Length.FIXED, 4, "Message number"),
    72: FieldSpec(Charset.DIGITS, Length.FIXED, 4, "Message number, last"),
    73: FieldSpec(Charset.DIGITS, Length.FIXED, 6, "Date, action"),
    74: FieldSpec(Charset.DIGITS, Length.FIXED, 10, "Credits, number"),
    75: FieldSpec(Charset.DIGITS, Length.FIXED, 10, "Credits, reversal number"),
    76: FieldSpec(Charset.DIGITS, Length.FIXED, 10, "Debits, number"),
    77: FieldSpec(Charset.DIGITS, Length.FIXED, 10, "Debits, reversal number"),
    78: FieldSpec(Charset.DIGITS, Length.FIXED, 10, "Transfer, number"),
    79: FieldSpec(Charset.DIGITS, Length.FIXED, 10, "Transfer, reversal number"),
    80: FieldSpec(Charset.DIGITS, Length.FIXED, 10, "Inquiries, number"),
    81: FieldSpec(Charset.DIGITS, Length.FIXED, 10, "Authorizations, number"),
    82: FieldSpec(Charset.DIGITS, Length.FIXED, 12, "Credits, processing fee amount"),
    83: FieldSpec(Charset.DIGITS, Length.FIXED, 12, "Credits, transaction fee amount"),
    84: FieldSpec(Charset.DIGITS, Length.FIXED, 12, "Debits, processing fee amount"),
    85: FieldSpec(Charset.DIGITS, Length.FIXED, 12, "Debits, transaction fee amount"),
    86: FieldSpec(Charset.DIGITS, Length.FIXED, 16, "Credits, amount"),
    87: FieldSpec(Charset.DIGITS, Length.FIXED, 16, "Credits, reversal amount"),
    88: FieldSpec(Charset.DIGITS, Length.FIXED, 16, "Debits, amount"),
    89: FieldSpec(Charset.DIGITS, Length.FIXED, 16, "Debits, reversal amount"),
    90: FieldSpec(Charset.DIGITS, Length.FIXED, 42, "Original data elements"),
    91: FieldSpec(Charset.ALNUM, Length.FIXED, 1, "File update code"),
    92: FieldSpec(Charset.ALNUM, Length.FIXED, 2, "File security code"),
    93: FieldSpec(Charset.ALNUM, Length.FIXED, 5, "Response indicator"),
    94: FieldSpec(Charset.ALNUM, Length.FIXED, 7, "Service indicator"),
    95: FieldSpec(Charset.ALNUM, Length.FIXED, 42, "Replacement amounts"),
    96: FieldSpec(Charset.BINARY, Length.FIXED, 8, "Message security code"),
    97: FieldSpec(Charset.SIGNED, Length.FIXED, 17, "Amount, net settlement"),
    98: FieldSpec(Charset.TEXT, Length.FIXED, 25, "Payee"),
    99: FieldSpec(Charset.DIGITS, Length.LL, 11, "Settlement institution identification code"),
    100: FieldSpec(Charset.DIGITS, Length.LL, 11, "Receiving institution identification code"),
    101: FieldSpec(Charset.TEXT, Length.LL, 17, "File name"),
    102: FieldSpec(Charset.TEXT, Length.LL, 28, "Account identification 1"),
    103: FieldSpec(Charset.TEXT, Length.LL, 28, "Account identification 2"),
    104: FieldSpec(Charset.TEXT, Length.LLL, 100, "Transaction description"),
    105: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, ISO"),
    106: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, ISO"),
    107: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, ISO"),
    108: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, ISO"),
    109: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, ISO"),
    110: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, ISO"),
    111: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, ISO"),
    112: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, national"),
    113: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, national"),
    114: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, national"),
    115: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, national"),
    116: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, national"),
    117: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, national"),
    118: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, national"),
    119: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, national"),
    120: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, private"),
    121: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, private"),
    122: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, private"),
    123: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, private"),
    124: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, private"),
    125: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, private"),
    126: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, private"),
    127: FieldSpec(Charset.TEXT, Length.LLL, 999, "Reserved, private"),
    128: FieldSpec(Charset.BINARY, Length.FIXED, 8, "Message authentication code"),
}
"""ISO 8583:1987 (E), table 7: every field but the bitmaps 1 and 65."""
