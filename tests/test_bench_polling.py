"""Whom we ask first, in virtual time: fresher than round-robin where it matters, under the same quota."""

from bench.polling import compare


def test_parcels_at_a_door_are_fresher_than_in_turn() -> None:
    """A tenth of the USPS bench: out for delivery, attempted or waiting are known at least twice as freshly."""
    result = compare(1_000, 6 * 35 / 3600)
    assert result["times_fresher_urgent"] > 2
    assert result["by_value"]["urgent"]["p95"] < result["round_robin"]["urgent"]["p95"]
    assert result["by_value"]["quiet"]["median"] > result["round_robin"]["quiet"]["median"]
