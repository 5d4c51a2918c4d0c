"""What the tests of accounts do otherwise than all others: they see what hashing costs."""

import pytest


@pytest.fixture(autouse=True)
def cheap_hashes() -> None:
    """Hashes cost here what they cost; who needs a cheap one asks for it."""
