"""The parameter file of one terminal: who it is, whom it talks to, what it may ring up.

The centre writes it (`spk terminals enrol`), the terminal reads it. JSON in UTF-8, byte strings
as base64. It holds the terminal's MAC key, so it belongs in a file that only its owner reads.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Final, Self

import msgspec

from processing.wire.iso8583.framing import Framing, LengthForm
from processing.wire.iso8583.spec import Profile
from processing.wire.outcome import Outcome

VERSION: Final = 1
SIZE_MAX_BYTES: Final = 4 * 1024 * 1024
"""Longest parameter file that is read: some ten thousand items."""

SERVICES_MAX: Final = 256
ITEMS_MAX: Final = 20_000
MAC_KEY_BYTES: Final = 16
EXCHANGE_KEY_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 65
CONTENT_KEYS_MAX: Final = 16
RECEIPT_KEYS_MAX: Final = 255
ISSUING_CAS_MAX: Final = 16
_OUTCOMES: Final = frozenset(int(outcome) for outcome in Outcome)


class FramingName(StrEnum):
    """How one message ends and the next begins on the terminal's connection."""

    LENGTH_2 = "length-2"
    LENGTH_4_ASCII = "length-4-ascii"
    LENGTH_2_TPDU = "length-2-tpdu"
    LENGTH_4_ASCII_TPDU = "length-4-ascii-tpdu"

    @property
    def framing(self) -> Framing:
        """Return the framing of this name."""
        length = LengthForm.BINARY_2 if self.value.startswith("length-2") else LengthForm.ASCII_4
        return Framing(length, tpdu=self.value.endswith("tpdu"))


class ProfileName(StrEnum):
    """How binary fields travel: as they are, or as hexadecimal text."""

    BINARY = "binary"
    HEX = "hex"

    @property
    def profile(self) -> Profile:
        """Return the port profile of this name."""
        return Profile.BINARY if self is ProfileName.BINARY else Profile.HEX


class ParameterFileError(ValueError):
    """A parameter file that cannot be used; the message names the field and what to do."""

    exit_code = 2


class RefusalWords(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A refusal in the regulation's own words; `outcome` is the code of `outcome.Outcome`."""

    outcome: int
    text_ru: str
    text_en: str
    remedy_ru: str
    remedy_en: str


NO_VISITS: Final = 0
VISITS_TOO: Final = 1
VISITS_ONLY: Final = 2
"""Whether a service is given with a start and a finish: not, so or at once, only so."""


class ServiceParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One service allowed at the terminal, in one version of its regulation.

    `evidence`: 1 tap, 2 PIN (`transaction.Evidence`). `consumes`: what a line takes from an
    allowance: 1 its quantity, 2 the kopecks covered, 3 one per line. `shortage`: 1 refuse the
    whole, 2 cover what is left. `reserve_minutes`: how long a reservation stands, or a visit may
    last; 0 when the service takes none. `visit`: `NO_VISITS`, `VISITS_TOO` or `VISITS_ONLY`.
    `valid_from` and `valid_to` are the version's first and last day, `grace_days` how long after
    it the centre honours what was signed under it. `refusals` take the place of the outcomes'
    usual texts.
    """

    service: str
    version: int
    name_ru: str
    name_en: str
    evidence: int
    consumes: int
    shortage: int
    reserve_minutes: int = 0
    visit: int = NO_VISITS
    valid_from: date | None = None
    valid_to: date | None = None
    grace_days: int = 0
    refusals: tuple[RefusalWords, ...] = ()


class ItemParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One item that can be rung up: its class, its unit (ОКЕИ) and the decimals of a quantity."""

    item: str
    item_class: str
    unit_okei: int
    scale: int
    name_ru: str
    name_en: str


class ParameterFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a terminal must know before its first transaction.

    `mac_key` is the AES-128 key of generation `key_generation` (DE53), `exchange_key` the AES-256
    key under which the next one comes, empty where keys are changed only by a new file (docs/
    keys.md); `receipt_keys` the points (P-256, uncompressed, 65 bytes) of the keys that sign
    receipts; `content_keys` of those that sign stop-lists and other files, `content_url` where the
    files are; `issuing_cas` the certificates (DER) that card certificates chain to; of each the
    one in use first, and a trust list (`processing.wire.trust_list`) takes their place. `time_zone`
    is the region's IANA name, which gives the business date; `writes_passports` whether the
    terminal renews the social passports of cards at its reader.
    """

    version: int = VERSION
    terminal_id: str
    provider_code: str
    provider_name_ru: str
    provider_name_en: str
    region: int
    time_zone: str
    centre_host: str
    centre_port: int
    framing: FramingName = FramingName.LENGTH_2
    profile: ProfileName = ProfileName.BINARY
    key_generation: int
    mac_key: bytes
    receipt_keys: tuple[bytes, ...]
    issuing_cas: tuple[bytes, ...]
    exchange_key: bytes = b""
    content_keys: tuple[bytes, ...] = ()
    content_url: str = ""
    writes_passports: bool = False
    services: tuple[ServiceParameters, ...] = ()
    items: tuple[ItemParameters, ...] = ()

    def encode(self) -> bytes:
        """Return the file's bytes; the same parameters always give the same bytes."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the parameters in `data`; raises `ParameterFileError` naming the field."""
        if len(data) > SIZE_MAX_BYTES:
            raise ParameterFileError(f"the parameter file is over {SIZE_MAX_BYTES} bytes")
        try:
            parameters = msgspec.json.decode(data, type=cls)
        except msgspec.MsgspecError as error:
            raise ParameterFileError(
                f"not a parameter file: {error}; have the terminal enrolled again"
            ) from error
        except UnicodeDecodeError as error:
            raise ParameterFileError(f"the parameter file is not UTF-8: {error}") from error
        if faults := parameters.faults():
            raise ParameterFileError(f"the parameter file is wrong: {'; '.join(faults)}")
        return parameters

    def faults(self) -> list[str]:
        """Return what is wrong with the values, each as "field: reason"; empty when sound."""
        checks = (
            (self.version == VERSION, f"version: this program reads version {VERSION}"),
            (_is_terminal_id(self.terminal_id), "terminal_id: eight characters A-Z 0-9"),
            (1 <= self.region <= 99, "region: 1 to 99"),
            (bool(self.time_zone), "time_zone: an IANA name such as Asia/Yekaterinburg"),
            (bool(self.centre_host), "centre_host: a host name or address"),
            (1 <= self.centre_port <= 65_535, "centre_port: 1 to 65535"),
            (0 <= self.key_generation <= 255, "key_generation: 0 to 255"),
            (len(self.mac_key) == MAC_KEY_BYTES, f"mac_key: {MAC_KEY_BYTES} bytes"),
            (
                len(self.exchange_key) in (0, EXCHANGE_KEY_BYTES),
                f"exchange_key: {EXCHANGE_KEY_BYTES} bytes, or empty",
            ),
            (
                1 <= len(self.receipt_keys) <= RECEIPT_KEYS_MAX and _are_points(self.receipt_keys),
                f"receipt_keys: 1 to {RECEIPT_KEYS_MAX} points of {PUBLIC_KEY_BYTES} bytes",
            ),
            (
                len(self.content_keys) <= CONTENT_KEYS_MAX and _are_points(self.content_keys),
                f"content_keys: at most {CONTENT_KEYS_MAX} points of {PUBLIC_KEY_BYTES} bytes",
            ),
            (
                1 <= len(self.issuing_cas) <= ISSUING_CAS_MAX and all(self.issuing_cas),
                f"issuing_cas: 1 to {ISSUING_CAS_MAX} certificates (DER)",
            ),
            (len(self.services) <= SERVICES_MAX, f"services: at most {SERVICES_MAX}"),
            (len(self.items) <= ITEMS_MAX, f"items: at most {ITEMS_MAX}"),
            (_all_differ([s.service for s in self.services]), "services: each only once"),
            (_all_differ([i.item for i in self.items]), "items: each only once"),
            (all(0 <= i.scale <= 6 for i in self.items), "items: scale is 0 to 6"),
            (all(s.evidence in (1, 2) for s in self.services), "services: evidence is 1 or 2"),
            (all(0 <= s.visit <= 2 for s in self.services), "services: visit is 0, 1 or 2"),
            (
                all(words.outcome in _OUTCOMES for s in self.services for words in s.refusals),
                "services: refusals name outcomes",
            ),
        )
        return [text for sound, text in checks if not sound]

    def __repr__(self) -> str:
        """Name the terminal only: no key must reach a log."""
        return f"ParameterFile(terminal_id={self.terminal_id!r})"


def _is_terminal_id(value: str) -> bool:
    return len(value) == 8 and value.isascii() and value.isalnum() and value == value.upper()


def _are_points(keys: tuple[bytes, ...]) -> bool:
    return all(len(key) == PUBLIC_KEY_BYTES and key[0] == 4 for key in keys)


def _all_differ(values: list[str]) -> bool:
    return len(values) == len(set(values))
