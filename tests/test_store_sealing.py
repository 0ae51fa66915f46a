"""Facts about sealing: what is sealed opens only unchanged and with its key, and a mark tells nothing."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.sealing import KEY_BYTES, Sealer, Unsealable

KEY = os.urandom(KEY_BYTES)


@given(st.binary(max_size=300))
def test_what_is_sealed_opens(plain: bytes) -> None:
    """Any bytes come back, and two seals of the same bytes differ."""
    sealer = Sealer(KEY)
    sealed = sealer.seal(plain)
    assert sealer.open(sealed) == plain
    assert sealer.seal(plain) != sealed


def test_any_changed_byte_is_noticed() -> None:
    """Not one byte of what is sealed may be changed, cut or added."""
    sealer, sealed = Sealer(KEY), Sealer(KEY).seal(b"Via Zamboni 33")
    for n in range(len(sealed)):
        with pytest.raises(Unsealable):
            sealer.open(sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :])
        with pytest.raises(Unsealable):
            sealer.open(sealed[:n])
    with pytest.raises(Unsealable):
        sealer.open(sealed + b"x")


def test_another_key_opens_nothing_and_marks_differently() -> None:
    """With another key a seal stays shut, and the same text has another mark."""
    one, other = Sealer(KEY), Sealer(os.urandom(KEY_BYTES))
    with pytest.raises(Unsealable, match="HOMEWARD_KEY"):
        other.open(one.seal(b"secret"))
    assert one.mark("anna@example.com") == Sealer(KEY).mark("anna@example.com") != other.mark("anna@example.com")
    assert len(one.mark("x")) == 64


def test_a_key_of_the_wrong_size_is_refused_and_no_key_is_shown() -> None:
    """A short key stops the start; neither the error nor the sealer's repr shows a key."""
    with pytest.raises(ValueError, match="32 are needed") as caught:
        Sealer(b"hunter2")
    assert "hunter2" not in str(caught.value)
    assert KEY.hex() not in repr(Sealer(KEY)) and str(KEY) not in repr(Sealer(KEY))
