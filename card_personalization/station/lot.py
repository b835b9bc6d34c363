"""What is known of the blank cards at hand: families, factory keys, who vouches for their chips."""

from __future__ import annotations

import msgspec
from cryptography import x509

from card_personalization.chip.profiles.factory_list import FactoryList
from card_personalization.chip.profiles.family import CardFamily, CardIdentity, FactoryKey
from card_personalization.station.faults import StationError, StationFault


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """A lot of blanks.

    `families` are those taken, any if empty; `factory_key` overrides the family's own for all,
    `factory_keys` tells it card by card. With `authorities` (the maker's certificates) every key
    that a card can attest must be attested by one of them; without, none is asked for.
    """

    families: frozenset[str] = frozenset()
    factory_key: FactoryKey | None = None
    factory_keys: FactoryList = FactoryList({})
    authorities: tuple[x509.Certificate, ...] = ()

    def factory_key_of(
        self, driver: CardFamily, identity: CardIdentity, guid: bytes | None
    ) -> FactoryKey | None:
        """The key that opens this fresh card; None for the family's well-known one.

        StationError(FAMILY_UNSUITED) where the family has none and the lot names none.
        """
        found = self.factory_keys.key_for(identity, guid) or self.factory_key
        if found is None and driver.keeps_factory_key and driver.factory_key is None:
            ru = "её ключ 9B нужно назвать: --factory-key-file или --factory-keys"
            en = "its 9B key has to be given: --factory-key-file or --factory-keys"
            raise StationError(StationFault.FAMILY_UNSUITED, family=driver.name, ru=ru, en=en)
        return found
