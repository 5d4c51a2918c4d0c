"""What readers are told of a record: each kind has its frame."""

from typing import get_args

import pytest

from securechat.chat.model import Kind, Record
from securechat.server.fanout import encode_record


@pytest.mark.parametrize("kind", get_args(Kind))
def test_each_kind_of_record_has_its_frame(kind: Kind) -> None:
    record = Record("lobby", 7, kind, "alice", "a-1", 1_795_372_800_000, "text", "bob", 3, b"\xff" * 16, b"", b"")
    line = encode_record(record, "bob", replay=True)
    frame = "message" if kind == "say" else kind
    assert line.startswith(b'{"type":"%s","room":"lobby","seq":7,"sender":"alice",' % frame.encode())
    assert b'"salt":"_____________________w"' in line
    assert b'"erased"' not in line
    assert b'"replay":true' in line
