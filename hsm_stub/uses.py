"""What a command does with which key, for the policy and the audit. Nothing here is secret."""

from __future__ import annotations

from typing import Final, get_args

import msgspec

from hsm_stub.client import commands as c
from hsm_stub.errors import CommandRefused
from hsm_stub.keyring import KEY_NAMES, MasterKey, SigningKey
from processing.wire.statement import Domain

SERVICE: Final = "service"
"""What commands work on that use no key and change what others may do."""

Facts = dict[str, str | int]

_KEY_OF_DOMAIN: Final = {
    Domain.CHECKPOINT: SigningKey.JOURNAL,
    Domain.STOP_LIST: SigningKey.CONTENT,
    Domain.SOCIAL_PASSPORT: SigningKey.CONTENT,
    Domain.PARAMETER_FILE: SigningKey.CONTENT,
    Domain.TEXT_CATALOGUE: SigningKey.CONTENT,
    Domain.TEMPORARY_CARD: SigningKey.CONTENT,
    Domain.REGISTER_MESSAGE: SigningKey.CONTENT,
    Domain.TRUST_LIST: SigningKey.CONTENT,
}
"""What a client may have signed. The other domains are the service's own."""


class Use(msgspec.Struct, frozen=True):
    """One command as policy and audit see it. `generation` 0 is the active one.

    `purpose` is the domain of a statement, else empty. `summed` uses are told together.
    """

    command: str
    key: str
    generation: int = 0
    purpose: str = ""
    summed: bool = False


def command_name(command: c.Command) -> str:
    """Return a command's name on the wire."""
    return str(type(command).__struct_config__.tag)


COMMAND_NAMES: Final = tuple(str(kind.__struct_config__.tag) for kind in get_args(c.Command))
KEY_TEXTS: Final = (*(key.value for key in KEY_NAMES), SERVICE)


def use_of(command: c.Command) -> Use | None:
    """Return what `command` uses; None for one that uses no key and tells no secret."""
    name = command_name(command)
    match command:
        case c.Ping() | c.GetStatus() | c.GetPublicKeys() | c.DrawChallenge():
            return None
        case c.GetApprovals():
            return None
        case c.DeriveTerminalKey(master=master) | c.DeriveExchangeKey(master=master):
            return Use(name, MasterKey.TERMINAL.value, master)
        case c.WrapTerminalKey(next_master=master):
            return Use(name, MasterKey.TERMINAL.value, master)
        case c.DeriveCardAdminKey(master=master) | c.BeginCardAdmin(master=master):
            return Use(name, MasterKey.CARD.value, master)
        case c.FinishCardAdmin():
            return Use(name, MasterKey.CARD.value)
        case c.WrapBatch():
            return Use(name, MasterKey.CARD.value)
        case c.IssueCardCertificate() | c.IssueCardCertificates():
            return Use(name, SigningKey.ISSUING_CA.value)
        case c.FinishCrl() | c.SignOcsp():
            return Use(name, SigningKey.ISSUING_CA.value)
        case c.BeginCrl():
            return Use(name, SigningKey.ISSUING_CA.value)
        case c.AddToCrl():
            # Of no use without the signature, which is recorded with the rest.
            return Use(name, SigningKey.ISSUING_CA.value, summed=True)
        case c.SignReceiptBlock():
            return Use(name, SigningKey.RECEIPT.value, summed=True)
        case c.SignStatement(domain=domain):
            return Use(name, signer_of(domain)[1].value, purpose=domain)
        case c.InstallPolicy() | c.ReloadKeys() | c.Approve():
            return Use(name, SERVICE)


def command_facts(command: c.Command) -> Facts:
    """Return what may be told of `command`: whose key, which block; nothing secret."""
    match command:
        case c.DeriveTerminalKey(terminal_id=terminal_id, key_id=key_id):
            return {"terminal": terminal_id, "key_id": key_id}
        case c.DeriveExchangeKey(terminal_id=terminal_id, exchange_id=exchange_id):
            return {"terminal": terminal_id, "exchange_id": exchange_id}
        case c.WrapTerminalKey(terminal_id=terminal_id, key_id=key_id, exchange_id=exchange_id):
            return {"terminal": terminal_id, "key_id": key_id, "exchange_id": exchange_id}
        case c.DeriveCardAdminKey(card_guid=guid, version=version, channel=channel):
            facts: Facts = {"card_guid": guid.hex(), "version": version}
            return {**facts, "channel": 1} if channel else facts
        case c.BeginCardAdmin(card_guid=guid, version=version):
            return {"card_guid": guid.hex(), "version": version}
        case c.IssueCardCertificate(card_guid=guid, slot=slot):
            return {"card_guid": guid.hex(), "slot": slot.value}
        case c.IssueCardCertificates(card_guid=guid, slots=slots):
            return {"card_guid": guid.hex(), "slots": " ".join(one.slot.value for one in slots)}
        case c.SignReceiptBlock(lane=lane, block=block):
            return {"lane": lane, "block": block}
        case c.SignStatement(domain=domain, document_sha256=digest):
            return {"domain": domain, "document_sha256": digest.hex()}
        case c.BeginCrl(number=number, entries=entries):
            return {"number": number, "entries": entries}
        case c.SignOcsp(serial=serial, status=status):
            return {"serial": serial.hex(), "status": status.value}
        case c.WrapBatch(batch_id=batch_id, part=part, cards=cards):
            return {"batch": batch_id.hex(), "part": part, "cards": len(cards)}
        case c.AddToCrl() | c.FinishCrl():
            return {}
        case c.Approve(approval_id=approval_id):
            return {"approval": approval_id.hex()}
        case c.InstallPolicy() | c.ReloadKeys() | c.FinishCardAdmin():
            return {}
        case c.Ping() | c.GetStatus() | c.GetPublicKeys() | c.DrawChallenge() | c.GetApprovals():
            return {}


def signer_of(domain: str) -> tuple[Domain, SigningKey]:
    """Return what a client may have signed under this name, and with which key.

    Raises `CommandRefused` for other names and for the service's own domains.
    """
    for one, key in _KEY_OF_DOMAIN.items():
        if one.value == domain:
            return one, key
    allowed = ", ".join(one.value for one in _KEY_OF_DOMAIN)
    raise CommandRefused(c.Refusal.BAD_ARGUMENT, f"domain is none of: {allowed}")
