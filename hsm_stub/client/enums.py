"""The closed lists that commands and answers of the key service speak of."""

from __future__ import annotations

from enum import Enum


class Refusal(Enum):
    """Why the service did not do what was asked. The list is closed."""

    MALFORMED_FRAME = "malformed_frame"
    """The frame is no request at all; the connection is closed."""
    FRAME_TOO_LARGE = "frame_too_large"
    """The frame is longer than `FRAME_BYTES_MAX`; the connection is closed."""
    NOT_AUTHENTICATED = "not_authenticated"
    """The greeting failed: wrong token or wrong protocol version; the connection is closed."""
    BAD_ARGUMENT = "bad_argument"
    """Unknown command, or a field of it is missing, of a wrong type or out of range."""
    HANDLE_UNKNOWN = "handle_unknown"
    """The handle of a card authentication was never given, has expired or was used."""
    CARD_NOT_AUTHENTICATED = "card_not_authenticated"
    """The card's response is wrong: it does not hold the 9B key of this GUID and version."""
    BUSY = "busy"
    """A named limit is reached (connections, card authentications); try later."""
    KEY_UNKNOWN = "key_unknown"
    """There is no such generation of the key."""
    KEY_RETIRED = "key_retired"
    """The generation is retired or destroyed; what was made with it must be made anew."""
    NOT_ALLOWED = "not_allowed"
    """The policy lets this client not do this with this key, or not now."""
    LIMIT_REACHED = "limit_reached"
    """The policy's count for today, or for good, is used up."""
    APPROVAL_NEEDED = "approval_needed"
    """Another client must approve this very command first; the message names it."""
    KEYS_AWAY = "keys_away"
    """The token does not answer; try later."""
    AUDIT_AWAY = "audit_away"
    """The use could not be written to the audit, so there was none; try later."""
    FAULT = "fault"
    """The service failed; its log says how."""


class KeyState(Enum):
    """What one generation of a key is good for."""

    ACTIVE = "active"
    """New things are made with it; one generation of each key is active."""
    RETIRING = "retiring"
    """Serves what was made with it: derives for old terminals and cards, signs the old CA's CRL."""
    RETIRED = "retired"
    """Kept and not used. Signatures made with it still verify."""
    DESTROYED = "destroyed"
    """The secret is gone for good."""


class CertificateSlot(Enum):
    """PIV slot whose public key a certificate binds (SP 800-73-5 part 1, table 4b)."""

    AUTHENTICATION = "9A"
    CARD_AUTHENTICATION = "9E"


class CertificateStatus(Enum):
    """How a certificate stands (RFC 6960 §2.2)."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
