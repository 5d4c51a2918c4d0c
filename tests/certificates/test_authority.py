"""The CA is made once and never overwritten; the server certificate is renewed from it, whatever happened before."""

import os
import socket
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from securechat.certificates import CertificateFolder, client_context, generate, server_context
from securechat.certificates.issuing import certificate_pem, issue_authority_certificate, key_pem, new_key
from securechat.certificates.reading import read_certificates
from securechat.errors import AlreadyExists, CertificateError, UsageError
from tests.certificates.support import DEADLINE, foreign, meet

FILES = ("ca.pem", "ca.key", "server.pem", "server.key")


@pytest.fixture
def certs(tmp_path: Path) -> CertificateFolder:
    return CertificateFolder(tmp_path / "home" / "certs")


@pytest.fixture(autouse=True)
def host_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Build-Host")


def contents(certs: CertificateFolder) -> dict[str, bytes]:
    return {name: (certs.path / name).read_bytes() for name in FILES if (certs.path / name).exists()}


def works(certs: CertificateFolder, name: str = "localhost") -> bool:
    server = server_context(certs.server_certificate, certs.server_key)
    return meet(server, client_context(certs.authority), name).version == "TLSv1.3"


def one(path: Path) -> x509.Certificate:
    (certificate,) = read_certificates(path)
    return certificate


def test_a_first_run_makes_a_ca_and_a_certificate_for_this_machine(certs: CertificateFolder) -> None:
    made = generate(certs)
    assert made.new_authority
    assert not made.renewed
    assert made.server.names == ("localhost", "127.0.0.1", "::1", "build-host")
    assert set(contents(certs)) == set(FILES)
    for name in ("localhost", "127.0.0.1", "::1", "build-host"):
        assert works(certs, name)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_keys_are_closed_and_certificates_open_under_any_umask(certs: CertificateFolder, mask: int) -> None:
    before = os.umask(mask)
    try:
        generate(certs)
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((certs.path / name).stat().st_mode) for name in FILES}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o400, "server.pem": 0o644, "server.key": 0o600}


def test_the_ca_can_only_issue_and_only_directly(certs: CertificateFolder) -> None:
    generate(certs)
    authority = one(certs.authority)
    extensions = authority.extensions
    basic = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    key = authority.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert basic.critical
    assert basic.value == x509.BasicConstraints(ca=True, path_length=0)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature
    years = (authority.not_valid_after_utc - authority.not_valid_before_utc) / timedelta(days=365.25)
    assert years == pytest.approx(10, abs=0.01)


def test_the_server_certificate_has_what_strict_verification_asks_for(certs: CertificateFolder) -> None:
    generate(certs)
    authority, server = one(certs.authority), one(certs.server_certificate)
    value = {type(extension.value): extension for extension in server.extensions}
    key = server.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert value[x509.BasicConstraints].value == x509.BasicConstraints(ca=False, path_length=None)
    assert value[x509.ExtendedKeyUsage].value == x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    usage = server.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    issuer = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    claimed = server.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert claimed.key_identifier == issuer.digest
    assert value[x509.SubjectKeyIdentifier].value == x509.SubjectKeyIdentifier.from_public_key(key)
    assert server.serial_number != authority.serial_number


@pytest.mark.parametrize("days", [1, 90])
def test_a_server_certificate_lasts_no_second_longer_than_its_days_and_is_valid_to_a_slow_clock(
    certs: CertificateFolder, days: int
) -> None:
    made = generate(certs, days=days)
    now = datetime.now(UTC)
    # Both ends are part of the validity.
    assert made.server.expires - made.server.begins + timedelta(seconds=1) == timedelta(days=days)
    assert made.server.begins < now - timedelta(minutes=30)
    assert made.authority.begins < now - timedelta(minutes=30)


@pytest.mark.parametrize("days", [0, -1, 91])
def test_days_out_of_range_are_refused_and_nothing_is_made(certs: CertificateFolder, days: int) -> None:
    with pytest.raises(UsageError, match=f"lasts 1 to 90 days, not {days}"):
        generate(certs, days=days)
    assert not certs.path.exists()


def test_a_bad_host_is_refused_and_nothing_is_made(certs: CertificateFolder) -> None:
    with pytest.raises(UsageError):
        generate(certs, ["fine.example", "not fine"])
    assert not certs.path.exists()


def test_a_second_run_renews_the_certificate_with_a_new_key_from_the_same_ca(certs: CertificateFolder) -> None:
    generate(certs, ["chat.example.org"])
    first = contents(certs)
    made = generate(certs, ["192.0.2.7", "CHAT.example.org"])
    second = contents(certs)
    assert made.renewed
    assert not made.new_authority
    assert made.server.names == ("localhost", "127.0.0.1", "::1", "build-host", "chat.example.org", "192.0.2.7")
    assert [name for name in FILES if first[name] == second[name]] == ["ca.pem", "ca.key"]
    assert works(certs, "chat.example.org")


def test_force_starts_the_names_anew_and_leaves_the_ca(certs: CertificateFolder) -> None:
    generate(certs, ["old.example"])
    first = contents(certs)
    made = generate(certs, ["new.example"], force=True)
    assert made.server.names == ("localhost", "127.0.0.1", "::1", "build-host", "new.example")
    assert contents(certs)["ca.key"] == first["ca.key"]
    assert contents(certs)["ca.pem"] == first["ca.pem"]


@pytest.mark.parametrize("name", ["my_host", "", "büro", "host.\x1b[2J"])
def test_a_host_name_that_no_certificate_can_hold_is_left_out(
    certs: CertificateFolder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    made = generate(certs)
    assert made.server.names == ("localhost", "127.0.0.1", "::1")
    assert made.left_out == name


def test_a_certificate_of_another_ca_is_replaced_only_by_force(certs: CertificateFolder, tmp_path: Path) -> None:
    other = foreign(tmp_path)
    certs.path.mkdir(parents=True)
    other.server_certificate.rename(certs.server_certificate)
    other.server_key.rename(certs.server_key)
    before = contents(certs)
    with pytest.raises(AlreadyExists, match=r"server\.pem was not issued by .*ca\.pem. Give --force"):
        generate(certs)
    assert contents(certs) == before
    assert generate(certs, force=True).renewed
    assert works(certs)


def test_a_certificate_that_is_none_is_replaced_only_by_force(certs: CertificateFolder) -> None:
    certs.path.mkdir(parents=True)
    certs.server_certificate.write_text("my notes")
    with pytest.raises(AlreadyExists, match="holds no certificate in PEM form"):
        generate(certs)
    assert certs.server_certificate.read_text() == "my notes"
    generate(certs, force=True)
    assert works(certs)


def test_a_key_that_waits_for_its_certificate_is_replaced_only_by_force(certs: CertificateFolder) -> None:
    certs.path.mkdir(parents=True)
    certs.server_key.write_text("a key whose request is with another CA")
    with pytest.raises(AlreadyExists, match=r"server\.key is there without a certificate"):
        generate(certs)
    assert set(contents(certs)) == {"server.key"}
    generate(certs, force=True)
    assert works(certs)


def test_a_lost_ca_certificate_is_made_again_from_its_key_and_still_vouches_for_the_old_one(
    certs: CertificateFolder,
) -> None:
    generate(certs)
    key = certs.authority_key.read_bytes()
    old = server_context(certs.server_certificate, certs.server_key)
    old_authority = client_context(certs.authority)
    certs.authority.unlink()
    made = generate(certs)
    assert not made.new_authority
    assert certs.authority_key.read_bytes() == key
    new_authority = client_context(certs.authority)
    new = server_context(certs.server_certificate, certs.server_key)
    for server in (old, new):
        for client in (old_authority, new_authority):
            assert meet(server, client).version == "TLSv1.3"


def test_a_lost_ca_key_is_not_silently_replaced(certs: CertificateFolder) -> None:
    generate(certs)
    certs.authority_key.unlink()
    before = contents(certs)
    for force in (False, True):
        with pytest.raises(CertificateError, match=r"its key .*ca\.key is not, and nothing can be issued"):
            generate(certs, force=force)
    assert contents(certs) == before


def test_a_ca_key_on_a_medium_that_is_not_mounted_is_not_replaced(certs: CertificateFolder, tmp_path: Path) -> None:
    certs.path.mkdir(parents=True)
    certs.authority_key.symlink_to(tmp_path / "stick" / "ca.key")
    with pytest.raises(CertificateError, match=r"ca\.key does not exist"):
        generate(certs, force=True)
    assert certs.authority_key.is_symlink()


def test_a_ca_key_that_others_can_read_is_not_used(certs: CertificateFolder) -> None:
    generate(certs)
    certs.authority_key.chmod(0o440)
    with pytest.raises(CertificateError, match=r"open to other users \(mode 0440\)"):
        generate(certs)


def test_a_ca_certificate_of_another_key_is_refused(certs: CertificateFolder) -> None:
    generate(certs)
    certs.authority.write_bytes(certificate_pem(issue_authority_certificate(new_key(), datetime.now(UTC))))
    before = contents(certs)
    with pytest.raises(CertificateError, match=r"ca\.pem is not the CA certificate of .*ca\.key"):
        generate(certs)
    assert contents(certs) == before


def test_a_server_certificate_is_no_ca_certificate(certs: CertificateFolder) -> None:
    generate(certs)
    certs.authority.write_bytes(certs.server_certificate.read_bytes())
    certs.authority_key.chmod(0o600)
    certs.authority_key.write_bytes(certs.server_key.read_bytes())
    with pytest.raises(CertificateError, match=r"ca\.pem is not the CA certificate"):
        generate(certs)


def write_authority(certs: CertificateFolder, begins: datetime) -> None:
    key = new_key()
    certs.path.mkdir(parents=True)
    certs.authority_key.touch(0o600)
    certs.authority_key.write_bytes(key_pem(key))
    certs.authority.write_bytes(certificate_pem(issue_authority_certificate(key, begins)))


def test_an_expired_ca_is_renewed_from_its_key_once_it_is_moved_away(certs: CertificateFolder) -> None:
    write_authority(certs, datetime.now(UTC) - timedelta(days=3653))
    with pytest.raises(CertificateError, match=r"ca\.pem expired on \d{4}-\d\d-\d\d\. Move"):
        generate(certs)
    certs.authority.unlink()
    generate(certs)
    assert works(certs)


def test_a_server_certificate_does_not_outlive_its_ca(certs: CertificateFolder) -> None:
    write_authority(certs, datetime.now(UTC) - timedelta(days=3652 - 10))
    made = generate(certs)
    assert made.server.expires == made.authority.expires


def test_a_ca_key_that_cannot_be_used_is_refused_in_plain_words(certs: CertificateFolder) -> None:
    certs.path.mkdir(parents=True)
    certs.authority_key.touch(0o600)
    encrypted = new_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    wrong_kind = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for data, message in (
        (encrypted, "is encrypted, and nobody is asked for a passphrase"),
        (wrong_kind, "holds no elliptic-curve key"),
        (b"nonsense", "holds no private key in PEM form"),
    ):
        certs.authority_key.write_bytes(data)
        with pytest.raises(CertificateError, match=message):
            generate(certs)
        assert contents(certs) == {"ca.key": data}


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CertificateError, match=r"cannot be read or written: Not a directory\."):
        generate(CertificateFolder(tmp_path / "file" / "certs"))


@pytest.mark.parametrize("written", [0, 1, 2, 3])
def test_a_first_run_that_breaks_off_is_completed_by_the_next(
    certs: CertificateFolder, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    break_off_after(written, monkeypatch)
    with pytest.raises(CertificateError, match="Input/output error"):
        generate(certs)
    monkeypatch.undo()
    before = contents(certs)
    assert len(before) == written
    generate(certs)
    after = contents(certs)
    assert [after[name] for name in before if name.startswith("ca.")] == [
        before[name] for name in before if name.startswith("ca.")
    ]
    assert works(certs)


@pytest.mark.parametrize("written", [0, 1])
def test_a_renewal_that_breaks_off_is_completed_by_the_next(
    certs: CertificateFolder, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    generate(certs, ["chat.example.org"])
    break_off_after(written, monkeypatch)
    with pytest.raises(CertificateError, match="Input/output error"):
        generate(certs)
    monkeypatch.undo()
    made = generate(certs)
    assert "chat.example.org" in made.server.names
    assert works(certs)


def break_off_after(written: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.replace
    calls = 0

    def replace(*args: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > written:
            raise OSError(5, "Input/output error")
        real(*args, **options)

    monkeypatch.setattr(os, "replace", replace)


def test_runs_at_the_same_time_share_one_ca_and_leave_a_pair_that_fits(certs: CertificateFolder) -> None:
    made = []
    start = threading.Barrier(4)

    def run() -> None:
        start.wait(DEADLINE)
        made.append(generate(certs))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert len(made) == 4
    assert len({each.authority.fingerprint for each in made}) == 1
    assert sorted(each.new_authority for each in made) == [False, False, False, True]
    assert works(certs)
