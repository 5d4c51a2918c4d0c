"""The seed of everything random in these tests, as for the faults."""

from tests.faults.conftest import seed

__all__ = ["seed"]
