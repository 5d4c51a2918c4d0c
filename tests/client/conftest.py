"""What the tests of the client share: a local time zone that ends with the test."""

import os
import time
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def local_zone() -> Iterator[Callable[[str], None]]:
    """Set this process's time zone; it is put back afterwards."""
    before = os.environ.get("TZ")

    def set_zone(zone: str | None) -> None:
        if zone is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = zone
        time.tzset()

    yield set_zone
    set_zone(before)
