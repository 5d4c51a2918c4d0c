import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.accounts import passwords
from securechat.accounts.passwords import check_new, check_stored, decoy, generate, hash_password, needs_rehash, verify
from securechat.errors import CredentialError, WeakPassword
from tests.accounts.support import CHEAP, PASSWORD, STRONG, HashCounter, cheap_hash

SALT = "c2FsdHNhbHQ"
TAG = "AAAAAAAAAAAAAAAAAAAAAA"


def stored_with(memory: object = 8, passes: object = 1, lanes: object = 1, salt: str = SALT, tag: str = TAG) -> str:
    return f"$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${tag}"


def test_a_new_hash_is_argon2id_with_todays_costs_and_verifies_only_its_password() -> None:
    stored = hash_password(PASSWORD)
    assert re.fullmatch(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}", stored)
    assert verify(stored, PASSWORD)
    assert not verify(stored, PASSWORD + "!")
    assert not needs_rehash(stored)


def test_the_same_password_gets_another_salt_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_POLICY", passwords._POLICY._replace(memory=8, passes=1))
    assert hash_password(PASSWORD) != hash_password(PASSWORD)


def test_a_hash_of_an_earlier_version_still_verifies() -> None:
    assert verify(STRONG, PASSWORD)


def test_composed_and_decomposed_typing_is_one_password() -> None:
    typed = "Müller kocht Käse"
    assert verify(cheap_hash(unicodedata.normalize("NFC", typed)), unicodedata.normalize("NFD", typed))


@pytest.mark.parametrize("other", ["Plum tree under moon", "plum tree under moon ", "plum  tree under moon"])
def test_case_and_spaces_are_part_of_the_password(other: str) -> None:
    assert not verify(CHEAP, other)


def test_compatibility_characters_are_not_folded() -> None:
    assert not verify(cheap_hash("plum tree under moon fi"), "plum tree under moon ﬁ")


@pytest.mark.parametrize("password", ["a" * 1025, "é" * 513, "́" * 400_000, "\ud800" + "a" * 20])
def test_what_is_too_long_or_no_text_is_refused_before_anything_is_hashed(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = HashCounter(monkeypatch)
    assert verify(CHEAP, password) is False
    with pytest.raises(WeakPassword, match=r"at most 1,024 bytes"):
        hash_password(password)
    with pytest.raises(WeakPassword, match=r"at most 1,024 bytes"):
        check_new(password, "alice")
    assert (counter.made, counter.verified) == (0, [])


def test_a_password_that_grows_past_the_limit_in_nfc_is_refused() -> None:
    grows = "\U0001d160" * 256  # 4 bytes each, 12 in NFC
    assert verify(CHEAP, grows) is False


def test_a_password_of_exactly_the_limit_is_hashed() -> None:
    longest = "".join(chr(33 + i % 90) for i in range(1024))
    assert verify(cheap_hash(longest), longest)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "*",
        PASSWORD,
        stored_with(memory=4_194_304),
        stored_with(memory=65_537),
        stored_with(memory=7),
        stored_with(memory="08"),
        stored_with(memory=0),
        stored_with(memory=-8),
        stored_with(memory="9" * 11),
        stored_with(memory="٨"),
        stored_with(passes=0),
        stored_with(passes=11),
        stored_with(lanes=2),
        stored_with(lanes=0),
        stored_with(salt="c2FsdHM"),
        stored_with(salt="A" * 87),
        stored_with(salt="A" * 13),
        stored_with(salt="c2FsdHNhbHR"),
        stored_with(tag="A" * 20),
        stored_with(tag="A" * 87),
        stored_with(tag="A" * 25),
        stored_with(tag="A" * 21 + "B"),
        stored_with() + "\n",
        " " + stored_with(),
        stored_with() + "$",
        stored_with().replace("v=19", "v=16"),
        stored_with().replace("argon2id", "argon2i"),
        stored_with().replace("argon2id", "argon2d"),
        stored_with().replace("m=8,t=1", "t=1,m=8"),
        stored_with().replace("$v=19", ""),
    ],
)
def test_a_stored_string_outside_the_limits_is_an_error_and_costs_no_hash(
    stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = HashCounter(monkeypatch)
    for use in (lambda: verify(stored, PASSWORD), lambda: check_stored(stored), lambda: needs_rehash(stored)):
        with pytest.raises(CredentialError) as caught:
            use()
        assert not stored or stored.strip() not in str(caught.value)
    assert counter.verified == []


@pytest.mark.parametrize(
    "stored",
    [
        stored_with(memory=65_536, passes=10),
        stored_with(salt="A" * 86, tag="A" * 86),
        stored_with(tag="A" * 43),
        CHEAP,
        STRONG,
    ],
)
def test_a_stored_string_at_the_limits_is_accepted(stored: str) -> None:
    check_stored(stored)


@pytest.mark.parametrize("failure", [MemoryError(), ValueError(f"bad {PASSWORD}"), TypeError("bytes"), OSError(5, "x")])
def test_hashing_that_fails_is_an_error_and_never_a_wrong_password(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        @staticmethod
        def verify_phc_encoded(secret: bytes, stored: str) -> None:
            raise failure

    monkeypatch.setattr(passwords, "Argon2id", Failing)
    with pytest.raises(CredentialError, match="could not be checked") as caught:
        verify(CHEAP, PASSWORD)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("stored", "weaker"),
    [
        (stored_with(19_456, 2, salt="A" * 22, tag="A" * 43), False),
        (stored_with(65_536, 3, salt="A" * 43, tag="A" * 86), False),
        (stored_with(19_455, 2, salt="A" * 22, tag="A" * 43), True),
        (stored_with(65_536, 1, salt="A" * 22, tag="A" * 43), True),
        (stored_with(19_456, 2, salt="A" * 20, tag="A" * 43), True),
        (stored_with(19_456, 2, salt="A" * 22, tag="A" * 42), True),
    ],
)
def test_a_hash_needs_another_only_if_a_cost_is_below_todays(stored: str, weaker: bool) -> None:
    assert needs_rehash(stored) is weaker


@pytest.mark.parametrize(
    "password",
    [
        "plum tree under moon",
        "n4kx-7mwa-p2fc-9dgh-tq3r",
        "правильный конь",
        "正確馬電池釘",
        "violet horse b.",
        "Tr0ub4dor&3xyzzy",
    ],
)
def test_a_good_new_password_is_accepted(password: str) -> None:
    check_new(password, "alice")


@pytest.mark.parametrize("password", ["", "plum tree", "a1b2c3d4e5f6g7", "é7x" * 3])
def test_a_new_password_under_15_bytes_is_refused(password: str) -> None:
    with pytest.raises(WeakPassword, match="too short") as caught:
        check_new(password, "alice")
    assert not password or password not in str(caught.value)


@pytest.mark.parametrize(
    "password",
    [
        "aaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaab",
        "---------------",
        "123456789012345",
        "passwordpassword",
        "Password-Password",
        "abcabcabcabcabca",
        "alicealicealice",
        "ALICE alice Alice",
    ],
)
def test_a_new_password_that_repeats_something_short_is_refused(password: str) -> None:
    with pytest.raises(WeakPassword, match="repeats") as caught:
        check_new(password, "alice")
    assert password not in str(caught.value)


@pytest.mark.parametrize(
    "password",
    [
        "abcdefghijklmnop",
        "zyxwvutsrqponmlk",
        "qwertyuiopasdfgh",
        "Password12345678",
        "correct horse battery staple",
        "CorrectHorseBatteryStaple",
        "1qaz2wsx3edc4rfv",
        "the-quick-brown-fox",
    ],
)
def test_a_well_known_new_password_is_refused_forwards_and_backwards(password: str) -> None:
    with pytest.raises(WeakPassword, match="everybody") as caught:
        check_new(password, "alice")
    assert password not in str(caught.value)


@pytest.mark.parametrize("password", ["harriet.the-gardener", "Harriet The Gardener", "harriet_thegardener"])
def test_the_username_is_no_password(password: str) -> None:
    with pytest.raises(WeakPassword, match="username") as caught:
        check_new(password, "harriet.the-gardener")
    assert password not in str(caught.value)


def test_a_generated_password_is_five_groups_of_readable_characters_with_100_bits() -> None:
    made = {generate() for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch(r"([2-9a-km-np-z]{4}-){4}[2-9a-km-np-z]{4}", each) for each in made)
    assert len(set("".join(made)) - {"-"}) == 32
    for each in made:
        check_new(each, "alice")


@given(st.text(max_size=40), st.text(alphabet="abc.-_1", min_size=1, max_size=32))
def test_judging_any_text_gives_a_verdict_that_does_not_hold_it(password: str, username: str) -> None:
    try:
        check_new(password, username)
    except WeakPassword as error:
        assert len(password) < 10 or password not in str(error)


def test_a_decoy_is_no_password_and_costs_what_today_s_hashes_cost() -> None:
    stored = decoy()
    check_stored(stored)
    assert not needs_rehash(stored)
    assert [len(part) for part in stored.split("$")] == [len(part) for part in hash_password(STRONG).split("$")]
    assert stored.split("$")[:4] == hash_password(STRONG).split("$")[:4]
    assert not verify(stored, STRONG)
    assert stored != decoy()
