"""The shops' terms: the two shipped examples, and what a wrong file is told."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from merchants import terms as shelf
from merchants.terms import ClockName, Judged, Outcome, Payer, ReturnReason, TermsError, load, load_all, terms_on

EU = shelf.SHIPPED / "boutique-eu.toml"


@pytest.fixture
def changed(tmp_path: Path):
    """Writes the European example with one piece of text replaced."""

    def write(old: str, new: str, name: str = "changed.toml") -> Path:
        text = EU.read_text("utf-8")
        assert old in text
        path = tmp_path / name
        path.write_text(text.replace(old, new, 1), "utf-8")
        return path

    return write


def test_policy_17_to_20_three_attempts_on_working_days():
    """boutique-eu: Monday to Friday, three attempts, then back to the warehouse at Bentivoglio."""
    terms = shelf.default_for("ups")
    assert (terms.name, terms.attempts.max, terms.attempts.days) == ("boutique-eu", 3, (0, 1, 2, 3, 4))
    assert terms.attempts.hold_after_final_business_days == 5
    address = terms.warehouse.address
    assert (address.lines, address.postal_code, address.city) == (
        ("Interporto di Bologna", "blocco 9.5"),
        "40010",
        "Bentivoglio",
    )


def test_policy_27_usps_practice_is_kept():
    """boutique-us sets no limit of its own: USPS holds 15 days, 5 for Express."""
    attempts = shelf.default_for("usps").attempts
    assert (attempts.max, attempts.hold_days, attempts.hold_days_express) == (None, 15, 5)


def test_policy_28_to_31_windows():
    """EU: 30 days from delivery. US: contact in 72 hours, sent in 15 days of receipt by the acceptance scan."""
    eu, us = shelf.default_for("ups").returns, shelf.default_for("usps").returns
    assert (eu.send.days, eu.send.clock, eu.contact) == (30, ClockName.DELIVERED, None)
    assert us.contact is not None
    assert (us.contact.hours, us.send.days) == (72, 15)
    assert us.send.judged_by is Judged.ACCEPTANCE
    assert eu.send.fallback.clock is ClockName.SHIPPED


def test_policy_34_35_never_returnable():
    """Fragrance needs contact; final sale, sale and four categories never come back to the American shop."""
    eu, us = shelf.default_for("ups").returns, shelf.default_for("usps").returns
    assert [(n.category, n.answer) for n in eu.never] == [("fragrance", "contact_us")]
    assert {n.category for n in us.never} == {"accessories", "swimwear", "underwear", "bodysuits"}
    assert not us.sale and not us.final_sale


def test_policy_40_47_who_pays_and_the_waybill():
    """EU pays every label; US only defect or wrong item. The lost label is a waybill on account W95789."""
    eu, us = shelf.default_for("ups"), shelf.default_for("usps")
    assert set(eu.label.shop_pays_for) == set(ReturnReason)
    assert set(us.label.shop_pays_for) == {ReturnReason.DEFECT, ReturnReason.WRONG_ITEM}
    assert (eu.lost_label.service, eu.lost_label.payer, eu.lost_label.account) == ("Standard", "Receiver", "W95789")


def test_policy_11_12_14_promises():
    """US: 2 to 5 business days, expedited under 5, international 10 calendar days; territories are domestic."""
    promise = shelf.default_for("usps").promise
    assert promise.standard and promise.expedited and promise.international
    assert (promise.standard.min, promise.standard.max, promise.standard.days) == (2, 5, "business")
    assert promise.expedited.max == 4
    assert (promise.international.max, promise.international.days) == (10, "calendar")
    assert "PR" in promise.domestic


def test_policy_53_58_after_arrival_and_outcomes():
    """3 to 7 business days; EU refunds, US exchanges first, then credit, and refunds only what is discontinued."""
    eu, us = shelf.default_for("ups"), shelf.default_for("usps")
    assert (eu.after_arrival.min_business_days, eu.after_arrival.max_business_days) == (3, 7)
    assert eu.outcome.first is Outcome.REFUND
    assert (us.outcome.first, us.outcome.out_of_stock, us.outcome.discontinued) == (
        Outcome.EXCHANGE,
        Outcome.STORE_CREDIT,
        Outcome.REFUND,
    )
    assert us.after_arrival.rejected_sent_back_by is Payer.CUSTOMER
    assert us.undeliverable.costs and us.undeliverable.costs.out == Decimal("8.95")


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        ("max = 3", "max = 0", "attempts.max", "greater than or equal to 1"),
        ("max = 3", 'max = "three"', "attempts.max", "valid integer"),
        ("max = 3", "maximum = 3", "attempts.maximum", "expected one of: max, days"),
        ('days = ["monday",', 'days = ["mondag",', "warehouse.days.0", "day of the week"),
        ('clock = "delivered"', 'clock = "opened"', "returns.send.clock", "'delivered', 'purchased' or 'received'"),
        ('time_zone = "Europe/Rome"', 'time_zone = "Rome"', "shop.time_zone", "IANA"),
        ('answer = "contact_us"', 'answer = "shout"', "returns.never.0.answer", "'refused' or 'contact_us'"),
        ('account = "W95789"', "", "lost_label", "account for a waybill"),
        ("overdue_days = 14", "", "return_to_warehouse.overdue_days", "missing"),
    ],
)
def test_wrong_terms_name_file_key_and_what_was_expected(changed, old, new, key, expected):
    """A fault says which file, which key and what should stand there."""
    with pytest.raises(TermsError) as caught:
        load(changed(old, new))
    line = next(line for line in str(caught.value).splitlines() if line.startswith(f"changed.toml: {key}: "))
    assert expected in line


def test_a_file_that_is_no_toml_is_named(tmp_path: Path):
    """A broken or missing file is a TermsError too."""
    (tmp_path / "broken.toml").write_text("name = ")
    with pytest.raises(TermsError, match=r"broken\.toml: expected TOML"):
        load_all(tmp_path)
    with pytest.raises(TermsError, match="cannot be read"):
        load(tmp_path / "absent.toml")


def test_versions_come_into_force_by_date(changed, tmp_path: Path):
    """The version in force on a day is the newest that has begun; before the first one, the first."""
    changed("overdue_days = 14", "overdue_days = 14", "a.toml")
    path = changed("overdue_days = 14", "overdue_days = 20", "b.toml")
    path.write_text(path.read_text("utf-8").replace("2026-01-01", "2026-09-01"), "utf-8")
    found = load_all(tmp_path)
    assert [t.version for t in found["boutique-eu"]] == ["2026-01-01", "2026-09-01"]
    for day, overdue in ((date(2025, 1, 1), 14), (date(2026, 8, 31), 14), (date(2026, 9, 1), 20)):
        assert terms_on("boutique-eu", day, found).return_to_warehouse.overdue_days == overdue
    with pytest.raises(KeyError):
        terms_on("nobody", date(2026, 1, 1), found)


def test_one_version_may_not_be_stated_twice(changed, tmp_path: Path):
    """Two files of the same shop and day are a fault, not a race for the last one."""
    changed("max = 3", "max = 3", "a.toml")
    changed("max = 3", "max = 2", "b.toml")
    with pytest.raises(TermsError, match="found 2026-01-01 twice"):
        load_all(tmp_path)
