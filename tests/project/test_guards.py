"""The guards around every test see what they are there to see."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.conftest import children, is_loopback, leftovers

DOCUMENTATION_ADDRESS = "192.0.2.1"
"""Of RFC 5737: nobody is there, should the guard fail."""


def test_a_test_cannot_reach_another_machine() -> None:
    with socket.socket() as stream, pytest.raises(AssertionError, match=DOCUMENTATION_ADDRESS):
        stream.connect((DOCUMENTATION_ADDRESS, 443))
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams, pytest.raises(AssertionError, match=DOCUMENTATION_ADDRESS):
        datagrams.sendto(b"x", (DOCUMENTATION_ADDRESS, 443))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_this_machine_is_known_by_its_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "2001:db8::1", "localhost.example.org", ""])
def test_no_other_machine_passes_for_this_one(host: str) -> None:
    assert not is_loopback(host)


def test_a_thread_that_is_left_is_named() -> None:
    end = threading.Event()
    before = set(threading.enumerate())
    thread = threading.Thread(target=end.wait, name="forgotten")
    thread.start()
    try:
        assert leftovers(before, children(), 0.0) == ["thread forgotten"]
    finally:
        end.set()
        thread.join()
    assert leftovers(before, children(), 0.0) == []


def test_a_process_that_is_left_is_named() -> None:
    before = children()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        seen = [f"process {process.pid}"] if Path("/proc/self/stat").exists() else []
        assert leftovers(set(threading.enumerate()), before, 0.0) == seen
    assert leftovers(set(threading.enumerate()), before, 0.0) == []
