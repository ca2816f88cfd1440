"""What the parties of a loopback deployment know each other by: certificates, node keys, secrets.

A deployment makes the same four things with tools of its own: a certificate authority, the
SuperLink's certificate, one key pair for each SuperNode, and the secret between a Flower program
and its executor. Everything is made anew for one run, and valid for a day.
"""

import datetime
import os
import secrets
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """The SuperLink's files.

    Attributes:
        authority: The certificate of the authority, which every other party gets a copy of.
        certificate: The SuperLink's own, for localhost.
        key: Its private key.
        secret: Between the SuperLink and whoever starts its ServerApps.
    """

    authority: Path
    certificate: Path
    key: Path
    secret: Path


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """A SuperNode's files.

    Attributes:
        private: Signs its requests to the SuperLink.
        public: What the operator registers.
        secret: Between the SuperNode and its executor.
    """

    private: Path
    public: Path
    secret: Path


def make_server_keys(folder: Path) -> ServerKeys:
    """Make an authority and the SuperLink's certificate; the authority's key is not kept."""
    folder.mkdir(parents=True, mode=0o700)
    keys = ServerKeys(
        folder / "authority.crt", folder / "server.crt", folder / "server.key", folder / "secret"
    )
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name, server_name = _name("Stillroom loopback authority"), _name("localhost")
    authority = (
        _certificate(authority_name, authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    addresses = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        _certificate(server_name, authority_name, server_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    keys.authority.write_bytes(authority.public_bytes(Encoding.PEM))
    keys.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    _write_secret(
        keys.key,
        server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    _write_secret(keys.secret, secrets.token_bytes(32))
    return keys


def make_node_keys(folder: Path) -> NodeKeys:
    """Make a SuperNode's key pair, ECDSA P-384 in OpenSSH's form, and its secret."""
    folder.mkdir(parents=True, mode=0o700)
    keys = NodeKeys(folder / "node.key", folder / "node.pub", folder / "secret")
    key = ec.generate_private_key(ec.SECP384R1())
    _write_secret(
        keys.private, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    )
    keys.public.write_bytes(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
    _write_secret(keys.secret, secrets.token_bytes(32))
    return keys


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)  # clocks differ
        .not_valid_after(now + _DAY)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _write_secret(path: Path, secret: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
