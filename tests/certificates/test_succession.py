"""A CA that is replaced: the next is made and signed for, put in force, and believed on the old one's word alone."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec

from securechat.certificates import CertificateFolder, announce_next, client_context, generate, server_context, use_next
from securechat.certificates.reading import read_certificates, read_private_key
from securechat.certificates.succession import proven_successor, sign_succession
from securechat.errors import AlreadyExists, CertificateError, NotFound, VerificationFailed
from securechat.files import replace_file
from tests.certificates.support import meet


@pytest.fixture
def certs(tmp_path: Path) -> CertificateFolder:
    folder = CertificateFolder(tmp_path / "certs")
    generate(folder, ["chat.example.org"])
    return folder


def announced(certs: CertificateFolder) -> tuple[str, str, str]:
    """What is trusted, what is told, and the signature."""
    announce_next(certs)
    return certs.authority.read_text(), certs.next_authority.read_text(), certs.next_signature.read_text().strip()


def test_the_next_ca_is_believed_on_the_word_of_the_one_that_is_trusted(certs: CertificateFolder) -> None:
    trusted, told, signature = announced(certs)
    assert proven_successor(trusted, told, signature) == told
    assert proven_successor(trustme.CA().cert_pem.bytes().decode() + trusted, told, signature) == told
    assert stat.S_IMODE(certs.next_authority_key.stat().st_mode) == 0o400
    with pytest.raises(AlreadyExists, match="is announced already"):
        announce_next(certs)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda trusted, told, signature: (trusted, trustme.CA().cert_pem.bytes().decode(), signature),
        lambda trusted, told, signature: (trustme.CA().cert_pem.bytes().decode(), told, signature),
        lambda trusted, told, signature: (trusted, told, signature[:-8]),
        lambda trusted, told, signature: (trusted, told, "no base64!"),
        lambda trusted, told, signature: (trusted, told, ""),
        lambda trusted, told, signature: (trusted, "", signature),
        lambda trusted, told, signature: (told, told, signature),
    ],
    ids=["another certificate", "another CA's word", "cut", "no base64", "none", "no certificate", "its own word"],
)
def test_a_word_that_does_not_hold_is_not_believed(
    certs: CertificateFolder, spoil: Callable[[str, str, str], tuple[str, str, str]]
) -> None:
    with pytest.raises(VerificationFailed):
        proven_successor(*spoil(*announced(certs)))


def test_no_certificate_that_a_ca_signs_passes_for_its_word(certs: CertificateFolder) -> None:
    key = read_private_key(certs.authority_key)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    (leaf,) = read_certificates(certs.server_certificate)
    trusted = certs.authority.read_text()
    with pytest.raises(VerificationFailed):  # not even with a true signature: it may certify nobody
        proven_successor(trusted, certs.server_certificate.read_text(), sign_succession(key, leaf))


def test_put_in_force_it_serves_the_same_names_and_the_old_one_is_kept(certs: CertificateFolder) -> None:
    old, old_key = certs.authority.read_bytes(), certs.authority_key.read_bytes()
    names = generate(certs).server.names
    _, told, _ = announced(certs)
    made = use_next(certs)
    assert certs.authority.read_text() == told
    assert made.server.names == names
    assert (certs.path / "old-ca.pem").read_bytes() == old
    assert (certs.path / "old-ca.key").read_bytes() == old_key
    assert {path.name for path in certs.path.glob("next-*")} == set()
    assert stat.S_IMODE(certs.authority_key.stat().st_mode) == 0o400
    meet(server_context(certs.server_certificate, certs.server_key), client_context(certs.authority))
    assert generate(certs).authority.fingerprint == made.authority.fingerprint
    with pytest.raises(NotFound, match="No next CA is announced"):
        use_next(certs)


def test_cut_off_at_any_step_it_is_completed_by_the_next_call(
    certs: CertificateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, told, _ = announced(certs)
    # The old CA is put aside in two steps, the new certificate is the third; then its key, and the server's pair.
    for step in (0, 1, 2, 3, 0, 1, 2):
        done = 0

        def cut_off(path: Path, data: bytes, mode: int, last: int = step) -> None:
            nonlocal done
            if done == last:
                raise InterruptedError("cut off")
            done += 1
            replace_file(path, data, mode)

        with monkeypatch.context() as patch:
            patch.setattr("securechat.certificates.authority.replace_file", cut_off)
            with pytest.raises(CertificateError, match="cannot be read or written"):
                use_next(certs)
    use_next(certs)
    assert certs.authority.read_text() == told
    meet(server_context(certs.server_certificate, certs.server_key), client_context(certs.authority))
    assert (certs.path / "old-ca.pem").read_text() != told


def test_an_announcement_that_was_cut_off_is_made_anew(certs: CertificateFolder) -> None:
    announce_next(certs)
    certs.next_signature.unlink()
    trusted, told, signature = announced(certs)
    assert proven_successor(trusted, told, signature) == told


def test_where_there_is_no_ca_none_can_follow(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="There is no CA in"):
        announce_next(CertificateFolder(tmp_path / "certs"))
    assert not list((tmp_path / "certs").glob("*.pem"))
