"""The day of `test_one_day`: every deed with what it must cost whom, worked out by hand.

The arithmetic stands beside the figures, and the figures nowhere else.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

from processing.reconciliation.model import Amounts
from processing.wire.iso8583.messages import TerminalTotals
from processing.wire.outcome import Outcome


class Act(Enum):
    """What is done at the terminal."""

    SELL = auto()
    RESERVE = auto()
    COMPLETE = auto()
    """The terminal's open reservation is given, as far as the order says."""
    BEGIN = auto()
    """A visit begins."""
    FINISH = auto()
    """The visit that this card began ends."""
    BRING_BACK = auto()
    """Goods of the terminal's last sale or completion come back."""
    TAKE_BACK_FIRST = auto()
    """The terminal's first sale is reversed."""
    TAKE_BACK_LAST = auto()
    """The last thing that the terminal did is reversed."""


class Deed(NamedTuple):
    """What one citizen does at one terminal, and what each line must cost whom, in kopecks.

    Of a return, what comes back to the budget and to the citizen.
    """

    who: str
    terminal: str
    service: str
    order: tuple[str, ...]
    outcome: Outcome
    covered: tuple[int, ...] = ()
    paid: tuple[int, ...] = ()
    act: Act = Act.SELL


SOLD: Final = (Act.SELL, Act.COMPLETE, Act.FINISH)
"""What counts as a sale."""

TAKEN_BACK: Final = (Act.TAKE_BACK_FIRST, Act.TAKE_BACK_LAST)

DAY: Final = (
    # Enalapril is free and has no cap: 2 x 145.50 = 291.00, all of it covered.
    Deed(
        "sokolova",
        "AP000001",
        "MEDICINE",
        ("ENALAPRIL-10-20=2@145.50",),
        Outcome.APPROVED,
        (29_100,),
        (0,),
    ),
    # Metformin at half price up to 240.00: 240.00 / 2 = 120.00; 289.90 - 120.00 = 169.90.
    Deed(
        "sokolova",
        "AP000001",
        "MEDICINE",
        ("METFORMIN-850-60=1@289.90",),
        Outcome.APPROVED,
        (12_000,),
        (16_990,),
    ),
    # The third and last pack of enalapril: 145.55. Metformin below its cap: 199.99 / 2 = 99.995,
    # half-up 100.00; the citizen pays the remainder, 99.99.
    Deed(
        "sokolova",
        "AP000001",
        "MEDICINE",
        ("ENALAPRIL-10-20=1@145.55", "METFORMIN-850-60=1@199.99"),
        Outcome.APPROVED,
        (14_555, 10_000),
        (0, 9_999),
    ),
    # The prescription was for three packs.
    Deed(
        "sokolova",
        "AP000002",
        "MEDICINE",
        ("ENALAPRIL-10-20=1@145.50",),
        Outcome.ALLOWANCE_EXHAUSTED,
    ),
    # Half of 98.51 is 49.255, half-up 49.26; no cap; 98.51 - 49.26 = 49.25.
    Deed(
        "gromova",
        "AP000002",
        "MEDICINE",
        ("AMLODIPINE-5-30=1@98.51",),
        Outcome.APPROVED,
        (4_926,),
        (4_925,),
    ),
    # The child's free drops on the mother's card, up to 210.00: 224.80 - 210.00 = 14.80.
    Deed(
        "irina",
        "AP000001",
        "MEDICINE",
        ("CETIRIZINE-DROPS-10=1@224.80",),
        Outcome.APPROVED,
        (21_000,),
        (1_480,),
    ),
    # No prescription.
    Deed(
        "orlov",
        "AP000001",
        "MEDICINE",
        ("ENALAPRIL-10-20=1@145.50",),
        Outcome.NO_ENTITLEMENT,
    ),
    # A visit that is only counted, and one at the price of 1500.00, which insurance pays.
    # It has a start and an end; with one tap it is not given.
    Deed("orlov", "CL000001", "OMS.VISIT", ("B01.047.001",), Outcome.REGULATION_OUTDATED),
    Deed(
        "orlov",
        "CL000001",
        "OMS.VISIT",
        ("B01.047.001",),
        Outcome.APPROVED,
        (0,),
        (0,),
        Act.BEGIN,
    ),
    Deed(
        "gromova",
        "CL000001",
        "OMS.VISIT",
        ("B01.015.001=1@1500",),
        Outcome.APPROVED,
        (150_000,),
        (0,),
        Act.BEGIN,
    ),
    Deed("orlov", "CL000001", "OMS.VISIT", (), Outcome.APPROVED, (0,), (0,), Act.FINISH),
    Deed("gromova", "CL000001", "OMS.VISIT", (), Outcome.APPROVED, (150_000,), (0,), Act.FINISH),
    # Five people: the norm is 5 x 4.130 = 20.650 m3 of water and 5 x 70 = 350 kWh.
    # Water: 12.5 x 54.87 = 685.875, half-up 685.88; the tariff allows 685.875, half of it is
    # 342.9375, half-up 342.94; 685.88 - 342.94 = 342.94.
    # Power: 420 x 5.12 = 2150.40; within the norm 350 x 5.12 = 1792.00, half of it 896.00;
    # 2150.40 - 896.00 = 1254.40.
    Deed(
        "irina",
        "UT000001",
        "UTILITY",
        ("WATER.COLD=12.5@54.87", "POWER=420@5.12"),
        Outcome.APPROVED_PARTLY,
        (34_294, 89_600),
        (34_294, 125_440),
    ),
    # A certificate of 15 000.00 pays 3 x 420.00 = 1260.00.
    Deed(
        "lebedeva",
        "SC000001",
        "CERTIFICATE",
        ("CARE.HOUR=3@420.00",),
        Outcome.APPROVED,
        (126_000,),
        (0,),
    ),
    # 15 000.00 - 1260.00 = 13 740.00 are left of 4 x 3890.00 = 15 560.00; 1820.00 to pay.
    Deed(
        "lebedeva",
        "SC000001",
        "CERTIFICATE",
        ("WALKER=4@3890.00",),
        Outcome.APPROVED_PARTLY,
        (1_374_000,),
        (182_000,),
    ),
    # The two packs of enalapril come back ...
    Deed("sokolova", "AP000001", "MEDICINE", (), Outcome.APPROVED, act=Act.TAKE_BACK_FIRST),
    # ... so that one can be had elsewhere, at 150.00.
    Deed(
        "sokolova",
        "AP000003",
        "MEDICINE",
        ("ENALAPRIL-10-20=1@150.00",),
        Outcome.APPROVED,
        (15_000,),
        (0,),
    ),
    # The second and last pack of amlodipine is put aside: 49.26 and 49.25 as above, when given.
    Deed(
        "gromova",
        "AP000002",
        "MEDICINE",
        ("AMLODIPINE-5-30=1@98.51",),
        Outcome.APPROVED,
        (4_926,),
        (4_925,),
        Act.RESERVE,
    ),
    # What is put aside cannot be had elsewhere.
    Deed(
        "gromova",
        "AP000003",
        "MEDICINE",
        ("AMLODIPINE-5-30=1@98.51",),
        Outcome.ALLOWANCE_EXHAUSTED,
    ),
    Deed(
        "gromova",
        "AP000002",
        "MEDICINE",
        (),
        Outcome.APPROVED,
        (4_926,),
        (4_925,),
        Act.COMPLETE,
    ),
    # It comes back whole, and with it exactly what it had cost whom.
    Deed(
        "gromova",
        "AP000002",
        "MEDICINE",
        (),
        Outcome.APPROVED,
        (4_926,),
        (4_925,),
        Act.BRING_BACK,
    ),
    # One of four walkers comes back. Three cost 11 670.00, all covered: 13 740.00 - 11 670.00 =
    # 2070.00 go back to the certificate, and the citizen gets back the 1820.00 paid beyond it.
    Deed(
        "lebedeva",
        "SC000001",
        "CERTIFICATE",
        ("WALKER=1",),
        Outcome.APPROVED,
        (207_000,),
        (182_000,),
        Act.BRING_BACK,
    ),
    # Four hours are booked, 1680.00 of the 2070.00; three are given, 1260.00.
    Deed(
        "lebedeva",
        "SC000001",
        "CERTIFICATE",
        ("CARE.HOUR=4@420.00",),
        Outcome.APPROVED,
        (168_000,),
        (0,),
        Act.RESERVE,
    ),
    Deed(
        "lebedeva",
        "SC000001",
        "CERTIFICATE",
        ("CARE.HOUR=3",),
        Outcome.APPROVED,
        (126_000,),
        (0,),
        Act.COMPLETE,
    ),
    # 2070.00 - 1260.00 = 810.00 are left of 2 x 420.00 = 840.00; 30.00 to pay.
    Deed(
        "lebedeva",
        "SC000001",
        "CERTIFICATE",
        ("CARE.HOUR=2@420.00",),
        Outcome.APPROVED_PARTLY,
        (81_000,),
        (3_000,),
    ),
    # A pack of enalapril comes back by mistake; the return is taken back.
    Deed(
        "sokolova",
        "AP000003",
        "MEDICINE",
        (),
        Outcome.APPROVED,
        (15_000,),
        (0,),
        Act.BRING_BACK,
    ),
    Deed("sokolova", "AP000003", "MEDICINE", (), Outcome.APPROVED, act=Act.TAKE_BACK_LAST),
    # The third pack is put aside and not wanted after all.
    Deed(
        "sokolova",
        "AP000001",
        "MEDICINE",
        ("ENALAPRIL-10-20=1@145.50",),
        Outcome.APPROVED,
        (14_550,),
        (0,),
        Act.RESERVE,
    ),
    Deed("sokolova", "AP000001", "MEDICINE", (), Outcome.APPROVED, act=Act.TAKE_BACK_LAST),
)


def _totals(
    count: int,
    gross: int,
    covered: int,
    paid: int,
    reversed_: tuple[int, int] = (0, 0),
    returned: tuple[int, int] = (0, 0),
) -> TerminalTotals:
    return TerminalTotals(
        approved_count=count,
        gross_kopecks=gross,
        covered_kopecks=covered,
        paid_kopecks=paid,
        reversed_count=reversed_[0],
        reversed_covered_kopecks=reversed_[1],
        returned_count=returned[0],
        returned_covered_kopecks=returned[1],
    )


TOTALS: Final = {
    # 291.00 + 289.90 + 345.54 + 224.80 = 1151.24; 291.00 + 120.00 + 245.55 + 210.00 = 866.55;
    # 169.90 + 99.99 + 14.80 = 284.69. The first sale of 291.00 was taken back. The reservation
    # and its reversal are no money.
    "AP000001": _totals(4, 115_124, 86_655, 28_469, (1, 29_100)),
    # 98.51 twice: a sale, and a completion that came back.
    "AP000002": _totals(2, 19_702, 9_852, 9_850, returned=(1, 4_926)),
    # A return that was taken back is none.
    "AP000003": _totals(1, 15_000, 15_000, 0),
    "CL000001": _totals(2, 150_000, 150_000, 0),
    # 685.88 + 2150.40 = 2836.28; 342.94 + 896.00 = 1238.94; 342.94 + 1254.40 = 1597.34.
    "UT000001": _totals(1, 283_628, 123_894, 159_734),
    # 1260.00 + 15 560.00 + 1260.00 + 840.00 = 18 920.00; 1260.00 + 13 740.00 + 1260.00 + 810.00
    # = 17 070.00; 1820.00 + 30.00 = 1850.00. A walker came back.
    "SC000001": _totals(4, 1_892_000, 1_707_000, 185_000, returned=(1, 207_000)),
}

# Less what came back: 1151.24 - 291.00 + 98.51 + 150.00 + 1500.00 + 2836.28 + 18 920.00 - 3890.00
# = 20 475.03; 866.55 - 291.00 + 49.26 + 150.00 + 1500.00 + 1238.94 + 17 070.00 - 2070.00
# = 18 513.75; 284.69 + 49.25 + 1597.34 + 1850.00 - 1820.00 = 1961.28.
NET: Final = Amounts(2_047_503, 1_851_375, 196_128)
