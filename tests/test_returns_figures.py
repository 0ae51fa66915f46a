"""Facts about figures that no shop's text states: they are terms, and named as ours in docs/terms.md."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from pathlib import Path

import pytest

from merchants.terms import Terms, default_for
from returns.clocks import silent_until
from returns.forms import Teller
from returns.losing import loss_of
from returns.settling import Account, reimbursement

EU, US = default_for("ups"), default_for("usps")
PAGE = Path(__file__).parent.parent / "docs" / "terms.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| `")
]


def figure(terms: Terms, name: str) -> str:
    """The figure as the page writes it."""
    found = reduce(lambda section, part: getattr(section, part, None), name.split("."), terms)
    return "none" if found is None else str(found)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("`"))
def test_the_page_names_the_figures_as_they_are_shipped(row):
    """Nobody is told a figure that is another one."""
    name, eu, us = row[0].strip("`"), row[1], row[2]
    assert (figure(EU, name), figure(US, name)) == (eu, us)


def test_the_two_that_decide_about_money_are_there():
    """Own courier and silence: both were made up."""
    assert {"`own_courier.standard_cost`", "`loss.silent_days`"} <= {row[0] for row in ROWS}


@pytest.mark.parametrize(("cost", "given"), [("4.50", "4.50"), (None, "7.90")])
def test_a_shop_states_its_own_cost_of_a_standard_delivery(cost, given):
    """Its figure is given back; without one, what the customer paid."""
    own = EU.own_courier.model_copy(update={"standard_cost": Decimal(cost) if cost else None})
    terms = EU.model_copy(update={"own_courier": own})
    [line] = reimbursement(terms, [Account("A", "EUR", Decimal(50), Decimal(0), Decimal("7.90"))])
    assert str(line.amount) == given


def test_a_shop_states_its_own_days_of_silence():
    """Lost after its days, and the sentence says how many."""
    terms = EU.model_copy(update={"loss": EU.loss.model_copy(update={"silent_days": 9})})
    last = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert silent_until(terms, last) == last + timedelta(days=9)
    assert "no scan came for 9 days" in loss_of(terms, "1Z", {}, ("1Z",), Teller.SILENCE, last).because
