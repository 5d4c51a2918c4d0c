"""Another password for one's account, asked for in three questions. What is answered is a secret: whoever shows the
questions hides what is typed, and keeps none of it. It knows the client, and nothing of terminals.
"""

from typing import Final

from securechat.client import text
from securechat.client.client import Client
from securechat.errors import SecurechatError
from securechat.protocols.frames import Password, PasswordChanged

QUESTIONS: Final = ("Your password now: ", "The new one: ", "The new one again: ")

KEPT: Final = "Your password stays as it is."


class PasswordChange:
    """One change, from the first question to what came of it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._answers: list[str] = []

    @property
    def question(self) -> str:
        """What is to be answered now; empty when all is answered."""
        return QUESTIONS[len(self._answers)] if len(self._answers) < len(QUESTIONS) else ""

    def answer(self, typed: str) -> str | None:
        """Take an answer; returns why nothing is changed, or None to go on. An empty answer gives it up."""
        self._answers.append(typed)
        if not typed:
            return KEPT
        if not self.question and self._answers[1] != self._answers[2]:
            return f"The two are not the same. {KEPT}"
        return None

    def make(self) -> str:
        """Ask the server for it, once all is answered; returns what came of it, safe to show."""
        old, new, _ = self._answers
        self._answers = []
        try:
            self._client.request(Password(old=old, new=new), PasswordChanged)
        except SecurechatError as error:
            return text.line(str(error))
        return "Your password is another one now; your other sessions have ended."
