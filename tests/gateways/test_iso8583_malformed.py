"""Messages that cannot be read: answered with 30, the field named, the connection kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from processing.wire.iso8583.codec import decode
from processing.wire.iso8583.mac import sealed
from processing.wire.iso8583.messages import Network, NetworkCode, Rejection
from processing.wire.iso8583.spec import Profile
from processing.wire.outcome import Outcome
from processing.wire.parameter_file import ProfileName
from processing.wire.transaction import Request
from tests.plugins.centre import ServeTown
from tests.plugins.line import Line
from tests.plugins.live_centre import LiveCentre, Port
from tests.plugins.town import Shop, business_day, citizen

MARIA = citizen(1)
DAY = f"{business_day():%Y%m%d}".encode()


def changed(line: Line, content: Request | Network, changes: Mapping[int, bytes | None]) -> bytes:
    """Return a message with fields changed or (None) left out, under a right MAC."""
    decoded = decode(line.message(content), line.profile)
    fields = {number: value for number, value in decoded.fields.items() if number != 64}
    for number, value in changes.items():
        if value is None:
            fields.pop(number, None)
        else:
            fields[number] = value
    return sealed(decoded.mti, fields, line.profile, line.mac)


def swapped(line: Line, content: Request, number: int, old: bytes, new: bytes) -> bytes:
    """Return a message with a piece of one field exchanged, under a right MAC."""
    value = decode(line.message(content), line.profile).fields[number]
    assert old in value, (old, value)
    return changed(line, content, {number: value.replace(old, new, 1)})


Forge = Callable[[Line, Request], bytes]


def without(number: int) -> Forge:
    return lambda line, sale: changed(line, sale, {number: None})


def with_field(number: int, value: bytes) -> Forge:
    return lambda line, sale: changed(line, sale, {number: value})


def swap(number: int, old: bytes, new: bytes) -> Forge:
    return lambda line, sale: swapped(line, sale, number, old, new)


def typed(mti: bytes) -> Forge:
    return lambda line, sale: mti + line.message(sale)[4:]


def raw(change: Callable[[bytes], bytes]) -> Forge:
    return lambda line, sale: change(line.message(sale))


# What is wrong, how it is made, and the field that answer and log must name.
CASES: list[tuple[str, Forge, str]] = [
    *((f"type {mti.decode()}", typed(mti), "MTI") for mti in (b"0600", b"0210", b"1200", b"0202")),
    ("type 0000", typed(b"0000"), "MTI"),
    ("type in letters", typed(b"02AB"), "MTI"),
    *((f"no field {n}", without(n), str(n)) for n in (3, 4, 7, 11, 41, 48, 53, 55)),
    ("no MAC", raw(lambda m: b"0200" + _without_last_bit(m[4:20]) + m[20:-8]), "64"),
    ("STAN 0", with_field(11, b"000000"), "11"),
    ("terminal in lower case", with_field(41, b"shop0001"), "41"),
    ("terminal with blanks", with_field(41, b"SHOP    "), "41"),
    ("another sum", with_field(4, b"000000000001"), "4"),
    ("another day", with_field(13, b"0230"), "13"),
    ("another MAC scheme", with_field(53, b"0200100000000000"), "53"),
    ("key 256", with_field(53, b"0125600000000000"), "53"),
    ("no date", swap(48, b"DT008" + DAY, b""), "48.DT"),
    ("no identifier kind", swap(48, b"ID0011", b""), "48.ID"),
    ("no epoch", swap(48, b"EP0011", b""), "48.EP"),
    ("no version", swap(48, b"VR0011", b""), "48.VR"),
    ("card number that is none", swap(48, b"CR034", b"IT034"), "48.IT[1]"),
    ("no such day", swap(48, DAY, b"20260230"), "48.DT"),
    ("unknown tag", swap(48, b"SV003", b"XX003"), "48"),
    ("service in lower case", swap(48, b"SV003MED", b"SV003med"), "48.SV"),
    ("item without numbers", swap(48, b",796,", b",,"), "48.IT[1]"),
    ("quantity 0", swap(48, b"PILL,1,", b"PILL,0,"), "48.IT[1].quantity"),
    ("entry that ends early", swap(48, b"IT0", b"IT9"), "48.IT[1]"),
    ("no nonce", swap(55, b"\xdf\x01\x10", b"\xdf\x09\x10"), "55"),
    ("short signature", swap(55, b"\xdf\x02\x40", b"\xdf\x02\x3f"), "55.DF02"),
    ("unknown key", swap(55, b"\xdf\x03\x01\x9e", b"\xdf\x03\x01\x9c"), "55.DF03"),
    ("unknown algorithm", swap(55, b"\xdf\x04\x01\x01", b"\xdf\x04\x01\x07"), "55.DF04"),
    ("digits that are none", raw(lambda m: m[:20] + b"ABCDEF" + m[26:]), "3"),
    ("cut short", raw(lambda m: m[:-1]), "64"),
    ("cut in field 48", raw(lambda m: m[:200]), "48"),
    ("type and bitmap alone", raw(lambda m: m[:20]), "3"),
    ("a byte too many", raw(lambda m: m + b"\0"), "frame"),
    ("bitmap in lower case", raw(lambda m: m[:4] + m[4:20].lower() + m[20:]), "bitmap"),
    ("a third bitmap", raw(lambda m: m[:4] + b"F" * 32 + m[20:]), "bitmap"),
    ("zeros", raw(lambda m: bytes(len(m))), "MTI"),
]


def _without_last_bit(bitmap: bytes) -> bytes:
    return b"%016X" % (int(bitmap, 16) & ~1)


async def test_what_cannot_be_read_is_answered_with_30_and_named(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    faults = []
    for name, forge, field in CASES:
        sale = shop.sale(MARIA)
        message = forge(line, sale)
        await line.send(message)
        answer = decode(await line.receive(), line.profile)
        named = live.logged("message not understood")[-1]
        found = (answer.fields[39], field_of(answer.fields[48]), named["field"])
        if found != (b"30", field, field):
            faults.append(f"{name}: expected {field}, got {found}")
        if await live.stored(sale) is not None:
            faults.append(f"{name}: something was stored")
    assert faults == []
    assert len(live.logged("message not understood")) == len(CASES)
    # The connection was kept all the time, and serves.
    assert (await line.decide(shop.sale(MARIA))).outcome is Outcome.APPROVED
    assert await live.events() == 1


def field_of(entries: bytes) -> str:
    """Return the field that an answer's entry FC names."""
    _, _, rest = entries.partition(b"field=")
    length = int(entries[entries.index(b"field=") - 3 : entries.index(b"field=")])
    return rest[: length - len(b"field=")].decode()


async def test_an_unknown_processing_code_is_not_supported(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    answer = await line.ask_raw(changed(line, shop.sale(MARIA), {3: b"990000"}))
    assert isinstance(answer, Rejection)
    assert (answer.outcome, answer.facts["field"]) == (Outcome.NOT_SUPPORTED, "3")


async def test_an_unknown_network_code_is_not_supported(live: LiveCentre) -> None:
    line = await live.line()
    echo = Network(terminal_id="SHOP0001", stan=1, code=NetworkCode.ECHO)
    answer = await line.ask_raw(changed(line, echo, {70: b"999", 128: None}))
    assert isinstance(answer, Rejection)
    assert (answer.outcome, answer.facts["field"]) == (Outcome.NOT_SUPPORTED, "70")


@pytest.mark.parametrize("profile", ProfileName, ids=str)
async def test_the_same_field_is_named_on_every_port(
    serve_town: ServeTown, profile: ProfileName
) -> None:
    port = Port(profile=profile.profile)
    async with serve_town(port) as live:
        shop, line = Shop(), await live.line()
        answer = await line.ask_raw(changed(line, shop.sale(MARIA), {41: b"shop0001"}))
        assert isinstance(answer, Rejection)
        assert answer.facts["field"] == "41"
        assert (await line.decide(shop.sale(MARIA))).outcome is Outcome.APPROVED


async def test_a_binary_message_on_a_hex_port_is_malformed(
    serve_town: ServeTown,
) -> None:
    async with serve_town(Port(profile=Profile.HEX)) as live:
        wrong, right = await live.line(profile=Profile.BINARY), await live.line()
        await wrong.send(wrong.message(Shop().sale(MARIA)))
        answer = decode(await wrong.receive(), Profile.HEX)
        assert answer.fields[39] == b"30"
        assert (await right.decide(Shop().sale(MARIA))).outcome is Outcome.APPROVED
