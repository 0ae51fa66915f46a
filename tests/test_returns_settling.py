"""What a decision comes to in money, line by line: pure, under both shops' terms."""

from decimal import Decimal

import pytest

from merchants.terms import Outcome, default_for
from returns.settling import (
    Account,
    Piece,
    Pot,
    dispatch_charge,
    payer_of,
    reimbursement,
    settle_homecoming,
    settle_order,
    totals,
)

EU, US = default_for("ups"), default_for("usps")
D = Decimal
EURO = Account("EU-1", "EUR", goods=D("330.00"), discounts=D("20.00"), shipping_paid=D("10.00"))
FREE = Account("US-1", "USD", goods=D("200.00"), discounts=D("0"), shipping_paid=D("0"))


def piece(sku="DRESS", quantity=1, price="120.00", gets=Outcome.REFUND):
    return Piece(sku, quantity, D(price), gets)


def rows(lines):
    return [(line.pot, line.name, line.amount) for line in lines]


def test_a_refund_is_the_goods_less_their_share_of_the_coupon():
    """Two of three goods of 330.00 with 20.00 off: 240.00 less 14.55, with the arithmetic in words."""
    lines = settle_order(EU, EURO, [piece(quantity=2)])
    assert rows(lines) == [
        (Pot.REFUND, "item/DRESS", D("240.00")),
        (Pot.REFUND, "discount", D("-14.55")),
    ]
    assert lines[0].because == "2 x DRESS at 120.00"
    assert lines[1].because == "of the discount of 20.00 on goods of 330.00, the share of 240.00"
    assert (lines[1].term, totals(lines)) == ("outcome.discounts_deducted", {Pot.REFUND: D("225.45")})


@pytest.mark.parametrize("discount", ["20.00", "19.99", "0.01", "100.00", "329.97"])
@pytest.mark.parametrize("parts", [(D("110"), D("110"), D("110")), (D("1.01"), D("328.98"), D("0.01"))])
def test_the_shares_of_a_coupon_are_together_the_coupon(discount, parts):
    """However an order comes back, piece by piece, no cent of the discount is taken twice or forgotten."""
    before, taken = D(0), D(0)
    for part in parts:
        account = Account("EU-1", "EUR", sum(parts), D(discount), D("10"), before)
        lines = settle_order(EU, account, [piece("X", 1, str(part))])
        taken -= sum(line.amount for line in lines if line.name == "discount")
        before += part
    assert taken == D(discount)


def test_a_coupon_worth_more_than_the_goods_takes_no_more_than_them():
    lines = settle_order(EU, Account("EU-1", "EUR", D("50"), D("80"), D("10")), [piece("X", 1, "50")])
    assert totals(lines) == {Pot.REFUND: D("0.00")}


def test_paid_shipping_is_not_refunded_where_the_terms_say_so_and_is_where_they_do():
    """Both shops keep it; terms that give it back do so once all goods are back."""
    assert "shipping" not in [line.name for line in settle_order(EU, EURO, [piece(quantity=2), piece("B", 1, "90")])]
    generous = EU.model_copy(update={"outcome": EU.outcome.model_copy(update={"shipping_refunded": True})})
    half = settle_order(generous, EURO, [piece(quantity=2)])
    whole = settle_order(generous, EURO, [piece(quantity=2), piece("B", 1, "90.00")])
    assert "shipping" not in [line.name for line in half]
    assert ("shipping", D("10.00")) in [(line.name, line.amount) for line in whole]


def test_policy_58_free_shipping_is_assessed_once_and_deductions_take_no_more_than_there_is():
    """The American shop: 8.95 on an order that was shipped free, not on the second return, never below nothing."""
    credit = piece(gets=Outcome.STORE_CREDIT)
    lines = settle_order(US, FREE, [credit])
    assert rows(lines) == [
        (Pot.STORE_CREDIT, "item/DRESS", D("120.00")),
        (Pot.STORE_CREDIT, "free_shipping", D("-8.95")),
    ]
    again = settle_order(US, Account("US-1", "USD", D("200"), D("0"), D("0"), D("120"), assessed=True), [credit])
    assert [line.name for line in again] == ["item/DRESS"]
    cheap = settle_order(US, FREE, [piece("PIN", 1, "3.00", Outcome.STORE_CREDIT)])
    assert (cheap[-1].name, totals(cheap)) == ("floor", {Pot.STORE_CREDIT: D("0.00")})
    paid = Account("US-1", "USD", D("200"), D("0"), D("5"))
    assert [line.name for line in settle_order(US, paid, [credit])] == ["item/DRESS"]


def test_one_order_may_end_as_a_refund_and_a_credit():
    """Each pot has its own lines; the free shipping is charged in one of them only."""
    lines = settle_order(US, FREE, [piece("A", 1, "50"), piece("B", 1, "60", Outcome.STORE_CREDIT)])
    assert totals(lines) == {Pot.REFUND: D("41.05"), Pot.STORE_CREDIT: D("60.00")}
    assert [line.name for line in lines].count("free_shipping") == 1


def test_an_exchange_is_goods_against_goods():
    assert settle_order(EU, EURO, [piece(gets=Outcome.EXCHANGE)]) == []


def test_policy_45_the_own_courier_is_reimbursed_once_where_shipping_was_paid():
    """The European shop gives a standard delivery back, once for a box of several orders; the American one nothing."""
    free = Account("EU-2", "EUR", D("50"), D("0"), D("0"))
    [line] = reimbursement(EU, [free, EURO, EURO])
    assert (line.order_number, line.amount, line.term) == ("EU-1", D("10.00"), "own_courier.reimburses")
    assert list(reimbursement(EU, [free])) == [] and list(reimbursement(US, [EURO])) == []


def test_policies_56_62_who_pays_for_what_leaves():
    """Sent back at the customer's cost in America, at the shop's in Europe; an unknown price is owed, not nothing."""
    assert [payer_of(terms, kind) for terms in (EU, US) for kind in ("resend", "exchange")] == [
        "shop", "shop", "customer", "customer",
    ]  # fmt: skip
    line = dispatch_charge(US, "resend", "US-1", D("7.95"), "USD")
    assert (line.pot, line.amount, line.term) == (Pot.CHARGE, D("7.95"), "after_arrival.rejected_sent_back_by")
    assert "the label cost 7.95 USD" in line.because
    unknown = dispatch_charge(US, "exchange", "US-1", None, "")
    assert unknown.amount is None and totals([unknown]) == {Pot.CHARGE: D(0)}


def test_policies_25_26_a_refused_parcel_at_home():
    """A credit less both legs, and the carrier's surcharge: its own figure, else the terms'."""
    lines = settle_homecoming(US, FREE, [piece("A", 2, "60", Outcome.STORE_CREDIT)], "refused", D("4.50"))
    assert rows(lines) == [
        (Pot.STORE_CREDIT, "item/A", D("120.00")),
        (Pot.STORE_CREDIT, "leg_out", D("-8.95")),
        (Pot.STORE_CREDIT, "leg_back", D("-8.95")),
        (Pot.STORE_CREDIT, "surcharge", D("-4.50")),
    ]
    costs = US.undeliverable.costs.model_copy(update={"refusal_surcharge": D("3.00")})
    dear = US.model_copy(update={"undeliverable": US.undeliverable.model_copy(update={"costs": costs})})
    goods = [piece("A", 1, "60", Outcome.STORE_CREDIT)]
    assert rows(settle_homecoming(dear, FREE, goods, "refused"))[-1] == (Pot.STORE_CREDIT, "surcharge", D("-3.00"))
    assert rows(settle_homecoming(dear, FREE, goods, "unclaimed"))[-1][1] == "leg_back"


def test_shipping_that_was_paid_is_not_charged_again_when_a_parcel_comes_home():
    paid = Account("US-1", "USD", D("200"), D("0"), D("12"))
    lines = settle_homecoming(US, paid, [piece("A", 1, "60", Outcome.STORE_CREDIT)], "unclaimed")
    assert totals(lines) == {Pot.STORE_CREDIT: D("51.05")}
    assert next(line for line in lines if line.name == "leg_out").amount == D("0.00")


def test_in_europe_the_order_service_decides_about_what_came_home():
    assert settle_homecoming(EU, EURO, [piece()], "refused") == []
