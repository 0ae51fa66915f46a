"""The same journeys told with the other words that a carrier has for the same thing: one row of its lists at a time.

The scripted journeys use a few words of each carrier; these tables hold every word it has for a failed visit, a last
word, a way home, a waiting parcel and a delivery, sorted by what truly happened. They were sorted from the carriers'
own lists (sources: facts/ups_codes.csv and ups_text_patterns.csv, facts/usps_codes.csv), not from anybody's program.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

from street.journeys import UPS, USPS, Journey, journey
from street.telling import Push, Scan, Telling

Saying = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """One journey in which one word is told with one saying; `reason` where the saying itself says another one."""

    carrier: str
    journey: str
    word: str
    saying: Saying
    reason: str = ""
    also: bool = False  # told besides, a little later, not instead

    @property
    def name(self) -> str:
        return f"{self.journey}~{self.word}:{'/'.join(part for part in self.saying[:3] if part)}"

    def script(self) -> Journey:
        """The journey with its truth."""
        usual = journey(self.carrier, self.journey)
        outcome = replace(usual.outcome, reason=self.reason) if self.reason else usual.outcome
        return replace(usual, name=self.name, outcome=outcome)

    def tell(self, telling: Telling) -> Telling:
        """The telling with the other saying."""
        scans = [each for scan in telling.scans for each in self._said(scan)]
        pushes = [Push(push.due, scan) for push in telling.pushes for scan in self._said(push.scan)]
        return replace(telling, scans=tuple(scans), pushes=tuple(pushes))

    def _said(self, scan: Scan) -> tuple[Scan, ...]:
        if scan.word != self.word:
            return (scan,)
        if not self.also:
            return (replace(scan, saying=self.saying),)
        later = timedelta(minutes=5)
        said = replace(
            scan, word="afterwards", at=scan.at + later, local=scan.local + later, order=scan.order + 1,
            saying=self.saying,
        )  # fmt: skip
        return (said, scan)


# --------------------------------------------------------------------------------------------------------------- tables

# How UPS tells it: (word of the journey, journeys, what is seen, type -> codes). The words are neutral: the code tells.
# The types IC, H6, A4 and VT are Mail Innovations'; `status` are three-digit statuses told without any code.
# "013" says nothing by itself; the visits that only another status proves come with 060.
_UPS_ROWS: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("miss", "unclaimed access_point_collected", "The parcel could not be handed over", {
        "X": "55 89 2X 5R 6R C4 G8 GB OH YD ZM", "IC": "DO DU DV DW DX EM ZM", "H6": "P6", "A4": "QS QT QU QW RI SR",
        "status": "060 061 062 066 145", "X+060": "HQ PI LZ AX S6 95 OE DW", "D+060": "BI CI DI FO"}),
    ("miss_first", "three_attempts_home delivered_second_attempt", "The parcel could not be handed over", {
        "X": "48 51 7L G3 G7", "status": "022"}),
    ("miss_second", "three_attempts_home final_attempt_no_return_scan", "The parcel could not be handed over", {
        "X": "FM IQ KX KZ L1", "status": "023"}),
    ("miss_final", "three_attempts_home final_without_earlier_scans", "The parcel could not be handed over", {
        "X": "49 52 AY IR", "status": "024"}),
    ("refuse", "refused return_under_way return_bounces", "Not wanted", {
        "X": "8H AM AN AP AQ AS KI KQ KR KS KT YE", "D": "53", "H6": "PG PL PU", "A4": "QX", "IC": "YE",
        "status": "064"}),
    ("wrong_address", "bad_address address_corrected", "The address needs a look", {
        "X": "47 A5 A6 A7 A8 A9 AA AB AC AD AE AF AG AK AL AV AW C8 CW CY DS DW E1 FA H1 H2 H3 H4 H5 OJ PH YF",
        "D": "50 BO DZ MV", "IC": "EE EF EG EH YF YJ YK", "H6": "PI PN", "A4": "QZ R0 R5 RH RJ RK RM RR",
        "status": "029 050"}),
    ("turn", "refused bad_address three_attempts_home", "It goes back", {
        "X": "24 27 4R 65 7H 90 A1 CF DL H8 KP O0 O4 RV UF XU ZO", "IC": "EJ EK", "A4": "SL SM SP",
        "status": "033 035 036 117 118 119"}),
    ("point_expired", "access_point_unclaimed_back", "Nobody came for it", {
        "X": "3N 6C", "D": "5F", "IC": "EI", "A4": "RA"}),
    ("recalled", "recalled_by_shipper recall_withdrawn", "It goes back", {"X": "CS I1"}),
    ("home", "refused bad_address unclaimed", "At the sender's", {
        "X": "4S PP TU UA YJ YK", "D": "B0", "IC": "1F KP", "H6": "PJ PQ PR PS PT PV PW",
        "A4": "S9 SA SB SC SD SE SF SG SH SI SJ SK SQ", "VT": "XD XO", "status": "034 067 081"}),
    ("held", "unclaimed", "It waits", {
        "X": "39 54 5G 6B 8I E2 HO I5 LZ O5 O8 O9 S7 TO UE UZ VB VE VN XS", "D": "AU EP ZQ", "IC": "1C 1D DN DP ED YD",
        "VT": "AU", "A4": "R1 RP SO", "status": "017 040 144"}),
    ("at_point", "access_point_collected access_point_unclaimed_back", "It waits", {
        "X": "ZP", "D": "1N 2Q", "H6": "P0 PC PE", "status": "161"}),
    ("collected", "access_point_collected", "Handed over", {"X": "FT", "D": "2W", "H6": "PP", "IC": "1E 1G"}),
    ("deliver", "delivered_first_time delivered_second_attempt address_corrected", "Handed over", {
        "X": "56 59 64 F4 FN GN K7 KM KN",
        "D": "3F 3G 3H 8N 8O 8Q 9E AI M1 M2 M3 M4 M5 M6 M7 M8 M9 MA MB MC MD ME MG MH MJ MK ML MM MN MP MQ MR MS MU MW "
             "MX NL NT OO OZ P5 PF UC YC ZE ZF ZG ZH ZI FS KB F4",
        "IC": "DL YC", "VT": "F4", "H6": "P1", "A4": "RQ", "status": "011 026 156"}),
    # Not proven by another status, these are no visits, and the parcel arrives all the same.
    ("delay", "weather_delay", "A remark", {"X": "HQ PI AX S6 95 OE", "D": "BI CI DI FO"}),
)  # fmt: skip
# A photo comes after the delivery and is no second one.
_UPS_AFTER = (("U", "PX", "013", "A photo was added"), ("U", "", "155", "A photo was added"))
# What only the sentence tells, without a code or status of its own. Source: facts/ups_text_patterns.csv, our wording.
_UPS_SENTENCES = (
    ("miss", "unclaimed", "Delivery attempted this morning"),
    ("miss", "unclaimed", "The post office attempted it"),
    ("miss_first", "delivered_second_attempt", "A second attempt will be made on Tuesday"),
    ("miss_first", "three_attempts_home", "First attempt made"),
    ("miss_second", "three_attempts_home", "A final attempt will be made on Tuesday"),
    ("miss_second", "three_attempts_home", "Second delivery attempted"),
    ("miss_final", "three_attempts_home", "Nobody there at the time of the final attempt"),
    ("refuse", "refused", "The parcel was refused"),
)

# How USPS tells it: (word of the journey, journeys, status category, "code text" lines); a dash stands for no code.
_USPS_ROWS: tuple[tuple[str, str, str, str], ...] = (
    ("miss", "unclaimed delivered_second_attempt three_attempts_home", "Delivery Attempt: Action Needed", """
        02 Notice Left
        53 Notice Left (Receptacle Blocked)
        54 Notice Left (Receptacle Full/Item Oversized)
        55 Notice Left (No Secure Location Available)
        56 Notice Left (No Authorized Recipient Available)
        51 Notice Left (Business Closed)
        51 Business Closed
        30 Delivery Attempted - No Access to Delivery Location
        52 Notice Left (Vacation)
        - Notice Left
        - Notice Left (Unattended)
        - Delivery Attempt
        - Delivery Attempted - Gate Locked
        CA Closed on Arrival
        NH Not Home
        H0 Attempted Delivery Abroad
        - Attempted Delivery Abroad"""),
    ("refuse", "refused return_bounces refused_no_return_scan", "Alert", """
        04 Refused
        RD Refused Delivery"""),
    ("wrong_address", "bad_address address_corrected return_under_way", "Alert", """
        05 Undeliverable as Addressed
        21 No Such Number
        22 Insufficient Address
        23 Moved, Left No Address
        24 Forward Expired
        25 Addressee Unknown
        26 Vacant
        BA Bad Address
        CM Customer Moved
        - Unsuccessful Attempt - Bad Address"""),
    ("unclaimed", "unclaimed", "Alert", """
        27 Unclaimed/Being Returned to Sender
        31 Return to Sender / Not Picked Up
        VS Package Return Notice Generated
        K5 Return to Sender: Abandonment"""),
    ("turn", "refused bad_address three_attempts_home", "Alert", """
        09 Return to Sender
        28 Return to Sender (Deceased)
        29 Return to Sender (Other)
        - Return to Sender
        - Return to Sender Processed
        RT Returned to Consignor
        H8 Foreign Return to Sender
        K4 Return to Sender: Improper Documentation
        K6 Return to Sender: Duty Nonpayment"""),
    ("home", "refused bad_address unclaimed three_attempts_home", "Delivered", """
        01 Delivered, To Original Sender
        01 Delivered, To Original Sender, Front Desk"""),
    ("held", "unclaimed", "Available for Pickup", """
        14 Available for Pickup
        16 Available for Pickup
        58 Held at Post Office, At Customer Request
        62 Recipient Notified by Agent
        CC Awaiting Consignee Collection
        DH Arrival at Collection Point for Pickup
        - Available for Redelivery or Pickup
        - Collect for Pick Up"""),
    ("reminder", "unclaimed", "Delivery Attempt: Action Needed", """
        VF Reminder to Schedule Redelivery of your item
        - Reminder to Schedule Redelivery of your item
        - Reminder to Schedule Redelivery before it goes
        - Reminder to pick up your item
        - Reminder to Pick Up soon
        - This is a reminder to take your item"""),
    ("deliver", "delivered_first_time delivered_second_attempt address_corrected weather_delay", "Delivered", """
        01 Delivered
        01 Delivered, In/At Mailbox
        01 Delivered, Front Door/Porch
        01 Delivered, Left with Individual
        01 Delivered, Parcel Locker
        01 Delivered, PO Box
        01 Delivered, Front Desk/Reception/Mail Room
        01 Delivered, Garage or Other Location at Address
        01 Delivered, Garage / Other Door / Other Location at Address
        01 Delivered, Individual Picked Up at Post Office
        01 Delivered, Individual Picked Up at Postal Facility
        01 Delivered, Neighbor as Requested
        01 Delivered, To Agent
        43 Picked Up at Postal Facility
        60 Delivered to Agent for Final Delivery
        63 Delivered to Recipient by Agent
        86 Delivered by Agent to Merchant
        AH Delivered to Postal Agent
        BR Delivered by Broker
        DL Delivered with Signature
        OK Delivered with Signature (international)
        I0 Delivered Abroad
        DN Delivered, Damaged
        - Delivered to Agent, Left with Individual"""),
)  # fmt: skip
_USPS_RECALLED = ("44", "Package Intercept / Customer Recall", "Alert")


# ------------------------------------------------------------------------------------------------------------- variants


@cache
def variants() -> tuple[Variant, ...]:
    """Every row, each in the journeys that have such a moment."""
    return tuple(each for each in (*_ups(), *_usps()) if any(s.word == each.word for s in each.script().steps))


def _ups() -> Iterator[Variant]:
    for word, journeys, text, rows in _UPS_ROWS:
        for kind, codes in rows.items():
            for code in codes.split():
                saying = ("X", "", code, text) if kind == "status" else _coded(kind, code, text)
                for name in journeys.split():
                    yield Variant(UPS, name, word, saying)
    for word, name, text in _UPS_SENTENCES:
        yield Variant(UPS, name, word, ("X", "", "013", text))
    for saying in _UPS_AFTER:
        yield Variant(UPS, "delivered_second_attempt", "deliver", saying, also=True)


def _coded(kind: str, code: str, text: str) -> Saying:
    letter, _, status = kind.partition("+")
    return (letter, code, status or "013", text)


def _usps() -> Iterator[Variant]:
    for word, journeys, category, lines in _USPS_ROWS:
        for line in lines.split("\n")[1:]:
            code, _, text = line.strip().partition(" ")
            for name in journeys.split():
                yield Variant(USPS, name, word, ("" if code == "-" else code, text, category))
    yield Variant(USPS, "three_attempts_home", "turn", _USPS_RECALLED, reason="recalled_by_shipper")
