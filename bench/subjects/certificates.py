"""The one CA and server certificate (P-256) of a run: all servers show the same, so all handshakes cost alike."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from securechat.certificates import CertificateFolder, generate


@cache
def made_certificates() -> CertificateFolder:
    """Certificates for localhost, made at the first call, in a folder that is removed when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="securechat-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    certificates = CertificateFolder(folder)
    generate(certificates)
    return certificates
