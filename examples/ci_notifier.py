"""Tell a room how a build ended, once, however often the build server runs this.

    python examples/ci_notifier.py ROOM JOB NUMBER STATUS

It talks as the profile in use. The id is made of job, number and status, so that a retried step says nothing new. It
exits with 0 only when the room has it; without a connection, with 3: run it again.
"""

import hashlib
import sys

import securechat
from securechat.errors import SecurechatError


def main(room: str, job: str, number: str, status: str) -> int:
    """Say it, and return the exit code."""
    mark = hashlib.sha256("\0".join((room, job, number, status)).encode()).hexdigest()
    try:
        with securechat.connect() as client:
            receipt = client.say(room, f"{job} #{number}: {status}", id=f"ci-{mark[:32]}")
    except SecurechatError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(receipt.room, receipt.seq)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
