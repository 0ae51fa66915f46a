"""`homeward explain`, as a person and as a machine call it: a process of its own, no database, no network."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
UPS, USPS = ROOT / "tests/fixtures/ups", ROOT / "tests/fixtures/usps"


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "cli", "explain", *arguments]
    return subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, timeout=60)


def answer(*arguments: str, stdin: bytes = b"", exit: int = 0) -> Any:
    done = run(*arguments, "--json", "--now", "2026-03-10T00:00:00Z", stdin=stdin)
    assert done.returncode == exit, done.stderr.decode()
    return json.loads(done.stdout)


def test_the_json_has_the_shape_of_the_product_page() -> None:
    """Number, purpose, leg, status, attempts with ledger, case, dates, events oldest first, unknown codes, because."""
    view = answer("--carrier", "ups", str(UPS / "attempted_second.json"))
    assert (view["carrier"], view["purpose"], view["leg"], view["status"]) == ("ups", "order", "out", "attempt_failed")
    attempts = view["attempts"]
    assert (attempts["count"], attempts["max"], attempts["final"], attempts["exhausted"]) == (2, 3, False, False)
    ids = [event["id"] for event in view["events"]]
    row = attempts["ledger"][0]
    assert set(row["evidence"]) <= set(ids)
    assert {"ordinal", "day", "reason", "counted", "off_calendar", "inferred", "evidence", "rule", "because"} <= set(
        row
    )
    assert [e["at"] for e in view["events"]] == sorted(e["at"] for e in view["events"])
    assert {"id", "at", "local", "kind", "code", "words", "place", "source"} <= set(view["events"][0])
    assert view["return_to_warehouse"] is None and view["delivered_at"] is None and view["returned_at"] is None
    assert view["unknown_codes"] == [] and view["unread"] == [] and view["because"]


def test_order_and_repetition_of_files_change_nothing() -> None:
    """Poll and push of the same parcel, in any order, any number of times."""
    files = [
        str(UPS / name) for name in ("attempted_first.json", "attempted_second.json", "attempted_second.push.json")
    ]
    assert answer("--carrier", "ups", *files) == answer("--carrier", "ups", *reversed(files), files[0])


def test_a_final_attempt_is_expected_home() -> None:
    """The case has state, reason, since and evidence."""
    case = answer("--carrier", "ups", str(UPS / "attempted_final_only.json"))["return_to_warehouse"]
    assert (case["state"], case["reason"]) == ("expected", "failed_delivery_attempts")
    assert case["since"].endswith("Z") and case["evidence"]


def test_standard_input_and_a_bad_file_beside_it() -> None:
    """`-` reads standard input; what cannot be read is in `unread` with its reason, the rest is answered; exit 1."""
    good = (UPS / "delivered.json").read_bytes()
    bad = str(UPS / "unreadable_truncated.json")
    view = answer("--carrier", "ups", "-", bad, "no-such-file.json", stdin=good, exit=1)
    assert view["status"] == "delivered"
    assert [item["file"] for item in view["unread"]] == [bad, "no-such-file.json"]
    assert all(item["error"] for item in view["unread"])


def test_several_numbers_give_parcels() -> None:
    """Payloads that speak of several numbers answer one object each."""
    view = answer("--carrier", "ups", str(UPS / "two_packages.json"))
    assert len(view["parcels"]) == 3 and {p["carrier"] for p in view["parcels"]} == {"ups"}


def test_terms_and_purpose_can_be_named() -> None:
    """Other terms leave the number of attempts to the carrier; a return has no case."""
    file = str(UPS / "attempted_final_only.json")
    assert answer("--carrier", "ups", "--terms", "boutique-us", file)["attempts"]["max"] is None
    assert answer("--carrier", "ups", "--purpose", "return", file)["return_to_warehouse"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        ("--carrier", "dhl", "x.json"),
        ("--carrier", "ups", "--terms", "nobody", "x.json"),
        ("--carrier", "ups", "--purpose", "gift", "x.json"),
        ("--carrier", "ups", "--now", "tomorrow", "x.json"),
        ("--carrier", "ups"),
        ("x.json",),
    ],
)
def test_wrong_usage_exits_2_and_says_what_would_be_right(wrong: tuple[str, ...]) -> None:
    """Unknown carrier, terms, purpose or instant; nothing to read; no carrier at all."""
    done = run(*wrong)
    assert done.returncode == 2
    assert done.stderr and b"Traceback" not in done.stderr


def test_a_person_reads_sentences() -> None:
    """Without --json the same in words."""
    done = run("--carrier", "usps", str(USPS / "attempted_twice_and_again.json"))
    text = done.stdout.decode()
    assert done.returncode == 0 and "this is attempt 2" in text and "Judged by the terms boutique-us" in text
