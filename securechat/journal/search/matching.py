"""What a text is found by: how it is folded, and how what somebody looks for becomes a question to the index.

A message is found by words: each word that was asked for must be somewhere in its text, inside a longer word too, in
any order, with case and the forms of a character ignored. Nothing in a question has another meaning than itself:
quotes, stars and operators are looked for like letters. It knows nothing of files or of SQL.
"""

import string
import unicodedata
from itertools import chain
from operator import add
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


# SQLite's `ascii` tokenizer takes all characters beyond ASCII for letters, but no punctuation.
_LETTERS: Final = {ord(mark): ord(mark) | 0x80 for mark in string.punctuation}
_LATIN_1: Final = bytes(_LETTERS.get(code, code) for code in range(256))


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
    """The characters of a folded text and its pairs of neighbours, each once, as words for an FTS5 table.

    Some of them are in no word of the text, but only side by side in it: who looks there looks at the text after that.
    """
    whole = _letters(text)
    # A pair with a blank in it is one character for the tokenizer.
    return " ".join(dict.fromkeys(chain(whole, map(add, whole, whole[1:]))))


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
    return Question(words, " ".join(f'"{_letters(word)}"' for word in words[:_PARTS]), long=False)


def _letters(text: str) -> str:
    # By way of bytes, in a tenth of the time.
    return text.encode().translate(_LATIN_1).decode("latin-1") if text.isascii() else text.translate(_LETTERS)


def _trigrams(words: list[str]) -> list[str]:
    """Trigrams that together cover the long words."""
    found = {
        word[start : start + _LONG]: None
        for word in words
        if len(word) >= _LONG
        for start in (*range(0, len(word) - _LONG + 1, _LONG), len(word) - _LONG)
    }
    return list(found)[:_PARTS]
