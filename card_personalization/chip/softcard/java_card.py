"""The Java card under OpenFIPS201: which application is selected, and its secure channel."""

from __future__ import annotations

from typing import Final

import msgspec

from card_personalization.chip.apdu import CHAINING_BIT, Command, Ins, Response, Sw
from card_personalization.chip.piv.objects import PIV_AID
from card_personalization.chip.softcard import openfips201, secure_channel, security_domain
from card_personalization.chip.softcard.session import Refused, Session

INITIALIZE_UPDATE: Final = 0x50
EXTERNAL_AUTHENTICATE: Final = 0x82
SECURE_BIT: Final = 0x04
PROPRIETARY_BIT: Final = 0x80
_AID_BYTES_MIN: Final = 5


class JavaCard:
    """Two applications, security domain and PIV, and at most one channel, of the selected one."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.forget()

    def forget(self) -> None:
        """What loss of power does: the domain is selected again, the channel is gone."""
        self._application = security_domain.DOMAIN_AID
        self._channel: secure_channel.CardChannel | None = None

    @property
    def _domain_selected(self) -> bool:
        return self._application == security_domain.DOMAIN_AID

    def select(self, aid: bytes) -> Response:
        """SELECT by name, whole or cut from the right; no name is the domain's."""
        if not aid or (len(aid) >= _AID_BYTES_MIN and security_domain.DOMAIN_AID.startswith(aid)):
            self._session.forget()
            self._switch(security_domain.DOMAIN_AID)
            return security_domain.selected_answer()
        if len(aid) < _AID_BYTES_MIN or not PIV_AID.startswith(aid):
            raise Refused(Sw.NOT_FOUND)
        self._switch(PIV_AID)
        self._session.selected = True
        openfips201.apply_attempts(self._session)
        return Response(openfips201.property_template(), Sw.OK)

    def _switch(self, application: bytes) -> None:
        self._application = application
        # The applet ends its channel whenever it is deselected, being selected again included.
        self._channel = None

    def uncover(self, command: Command) -> Command:
        """The command as the application sees it; `secured` tells whether it came protected.

        Refused(6982) when its MAC is wrong, which ends the channel.
        """
        self._session.secured = False
        if command.ins in (INITIALIZE_UPDATE, EXTERNAL_AUTHENTICATE, Ins.SELECT):
            return command
        data = command.data
        channel = self._channel
        if command.cla & SECURE_BIT:
            if channel is None or not channel.authenticated:
                raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
            data = channel.open_command(command)
            self._session.secured = bool(channel.level & 0x02)
        elif channel is not None and channel.level and self._domain_selected:
            # The domain insists on the level agreed; the applet asks per command.
            self._channel = None
            raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
        return msgspec.structs.replace(command, cla=command.cla & CHAINING_BIT, data=data)

    def run(self, command: Command) -> Response:
        """Carry out what `takes` says is the platform's or the domain's."""
        if command.ins == INITIALIZE_UPDATE:
            openfips201.require_administration(self._session)
            self._channel = None
            answer, self._channel = secure_channel.initialize_update(
                self._session,
                openfips201.platform_of(self._session),
                command,
                self._application,
            )
            return answer
        if command.ins == EXTERNAL_AUTHENTICATE:
            return self._external_authenticate(command)
        if command.ins == security_domain.GET_DATA:
            return security_domain.get_data(self._session, command)
        if command.ins == security_domain.PUT_KEY:
            return security_domain.put_key(self._session, command)
        raise Refused(Sw.INSTRUCTION_UNSUPPORTED)

    def _external_authenticate(self, command: Command) -> Response:
        channel, self._channel = self._channel, None
        secure_channel.external_authenticate(self._session, channel, command)
        self._channel = channel
        return self.cover(Response(b"", Sw.OK))

    def takes(self, command: Command) -> bool:
        """Whether the platform or the domain answers this command, not the applet."""
        platform = command.ins in (INITIALIZE_UPDATE, EXTERNAL_AUTHENTICATE)
        return platform or self._domain_selected

    def cover(self, answer: Response) -> Response:
        """The answer as it leaves: the domain protects its own, the applet does not."""
        if self._channel is None or not self._domain_selected:
            return answer
        return self._channel.close_answer(answer)
