"""What a server's process is set to before it serves."""

import json
import subprocess
import sys

from securechat.server.process import COLLECT_AFTER

ASK = """
import gc, json, pathlib, resource
from securechat.server.process import prepare
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
prepare()
def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
before = resident()
for _ in range(2):
    b"x" * 20_000_000  # the first one that is freed is what has glibc keep the second
kept = resident() - before
print(json.dumps([gc.get_threshold(), gc.get_freeze_count(), resource.getrlimit(resource.RLIMIT_NOFILE), kept]))
"""


def test_descriptors_are_as_many_as_may_be_large_blocks_go_back_and_garbage_is_looked_for_less_often() -> None:
    asked = subprocess.run([sys.executable, "-c", ASK], check=True, stdout=subprocess.PIPE, timeout=60)
    thresholds, frozen, (soft, hard), kept = json.loads(asked.stdout)
    assert tuple(thresholds) == COLLECT_AFTER
    assert frozen > 1_000
    assert soft == hard
    assert kept < 1_000_000
