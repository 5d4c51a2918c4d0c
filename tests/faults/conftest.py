"""The seed of everything random in these tests; a failure shows it, and it can be given again."""

import os
import random

import pytest


@pytest.fixture
def seed() -> int:
    """Another one each time, or that of FAULTS_SEED."""
    seed = int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randrange(2**32))
    print(f"FAULTS_SEED={seed}")  # pytest shows it with a failure
    return seed
