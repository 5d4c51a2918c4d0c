"""What a server's process is set to before it serves."""

import json
import subprocess
import sys

from securechat.server.process import COLLECT_AFTER

ASK = """
import gc, json, resource
from securechat.server.process import prepare
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
prepare()
print(json.dumps([gc.get_threshold(), gc.get_freeze_count(), resource.getrlimit(resource.RLIMIT_NOFILE)]))
"""


def test_descriptors_are_as_many_as_may_be_and_garbage_is_looked_for_less_often() -> None:
    asked = subprocess.run([sys.executable, "-c", ASK], check=True, stdout=subprocess.PIPE, timeout=60)
    thresholds, frozen, (soft, hard) = json.loads(asked.stdout)
    assert tuple(thresholds) == COLLECT_AFTER
    assert frozen > 1_000
    assert soft == hard
