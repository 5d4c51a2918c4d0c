"""What a text is found by: how it is folded, and how what somebody looks for becomes a question to the index.

A message is found by words: each word that was asked for must be somewhere in its text, inside a longer word too, in
any order, with case and the forms of a character ignored. Nothing in a question has another meaning than itself:
quotes, stars and operators are looked for like letters. It knows nothing of files or of SQL.
"""

import unicodedata
from itertools import pairwise
from typing import Final

import msgspec

from securechat.chat.names import flaw_in_text
from securechat.limits import SAFE_INTEGER

UNICODE: Final = unicodedata.unidata_version
"""The version of Unicode by which texts are folded here; another Python may fold otherwise."""

_LONG: Final = 3
"""Characters that the trigrams can find; shorter words are found by characters and pairs."""

_PARTS: Final = 16
"""Trigrams or grams asked for at once: they leave few enough texts to look at, and each costs a look into the index."""


class Question(msgspec.Struct, frozen=True):
    """`words` are all to be in a folded text. `match` is in FTS5's syntax and finds all such texts, and others: against
    the trigrams where `long`, else against `grams`."""

    words: list[str]
    match: str
    long: bool


def fold(text: str) -> str:
    """Give texts that differ by case or by form only as one: a compatibility caseless match (Unicode 3.13, D146).

    Full-width and half-width letters, which Japanese keyboards give both of, are the same; accents make a difference.
    """
    if text.isascii():
        return text.lower()
    once = unicodedata.normalize("NFD", text).casefold()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", once).casefold())


def grams(text: str) -> str:
    """The characters of a folded text and its pairs of neighbours, each once, as words of ASCII: for an FTS5 table.

    In hexadecimal, because no tokenizer of SQLite takes every character for a part of a word.
    """
    found: list[str] = []
    for word in text.split():
        codes = _codes(word)
        found += codes
        found += map("x".join, pairwise(codes))
    return " ".join(dict.fromkeys(found))


def question(text: str) -> Question | None:
    """Ask for the words of `text`; None where no message can hold them: it is blank, or has a control character."""
    if flaw_in_text(text, SAFE_INTEGER):
        return None
    words = list(dict.fromkeys(fold(text).split()))
    trigrams = _trigrams(words)
    if trigrams:
        quoted = (trigram.replace('"', '""') for trigram in trigrams)
        return Question(words, " ".join(f'"{trigram}"' for trigram in quoted), long=True)
    # Each word is a single character or a pair: a gram itself.
    return Question(words, " ".join("x".join(_codes(word)) for word in words[:_PARTS]), long=False)


def _codes(word: str) -> list[str]:
    # Two digits for each byte, and no word holds a character that has but one: they are all control characters.
    return word.encode().hex(" ").split() if word.isascii() else [f"{ord(character):x}" for character in word]


def _trigrams(words: list[str]) -> list[str]:
    """Trigrams that together cover the long words."""
    found = {
        word[start : start + _LONG]: None
        for word in words
        if len(word) >= _LONG
        for start in (*range(0, len(word) - _LONG + 1, _LONG), len(word) - _LONG)
    }
    return list(found)[:_PARTS]
