"""Enrolment: everything one terminal must know, put together for its parameter file."""

from __future__ import annotations

from datetime import date

from hsm_stub.client.async_client import AsyncHsmClient
from processing.kernel.config import ListenAddress
from processing.kernel.errors import ConfigurationError
from processing.terminals.model import Terminal
from processing.terminals.store import TerminalStore
from processing.terminals.trust import content_keys, receipt_keys
from processing.wire.parameter_file import (
    ISSUING_CAS_MAX,
    FramingName,
    ParameterFile,
    ProfileName,
)


async def parameters_of(
    terminal: Terminal,
    store: TerminalStore,
    hsm: AsyncHsmClient,
    centre: ListenAddress,
    on: date,
    *,
    framing: FramingName,
    profile: ProfileName,
    content_url: str = "",
) -> ParameterFile:
    """Return the parameters of a terminal that reaches the centre at `centre`.

    MAC and exchange key are derived inside the key service for the terminal's generations. Raises
    the errors of `hsm_stub.client.errors`, and `ConfigurationError` when the values make no sound
    file.
    """
    offer = await store.offer(terminal.terminal_id, on)
    if not offer.services:
        raise ConfigurationError(
            f"no service is in force at {terminal.terminal_id} on {on}; allow one there first"
        )
    public = await hsm.public_keys()
    parameters = ParameterFile(
        terminal_id=terminal.terminal_id,
        provider_code=terminal.provider.code,
        provider_name_ru=terminal.provider.name_ru,
        provider_name_en=terminal.provider.name_en,
        region=terminal.region,
        time_zone=terminal.time_zone,
        centre_host=centre.host,
        centre_port=centre.port,
        framing=framing,
        profile=profile,
        key_generation=terminal.key_generation,
        mac_key=await hsm.derive_terminal_key(
            terminal.terminal_id, terminal.key_generation, terminal.master_generation
        ),
        exchange_key=await hsm.derive_exchange_key(
            terminal.terminal_id, terminal.exchange_generation, terminal.master_generation
        ),
        receipt_keys=receipt_keys(public),
        content_keys=content_keys(public),
        content_url=content_url,
        writes_passports=terminal.writes_passports,
        issuing_cas=public.issuing_certificates_in_use[:ISSUING_CAS_MAX],
        services=offer.services,
        items=offer.items,
    )
    if faults := parameters.faults():
        raise ConfigurationError(
            f"the parameters of {terminal.terminal_id} are not sound: {'; '.join(faults)}"
        )
    return parameters
