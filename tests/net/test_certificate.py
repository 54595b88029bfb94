"""Certificates that nobody verified: names read by hand, with `cryptography` as the oracle."""

from __future__ import annotations

import datetime
import ssl
from ipaddress import ip_address

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type as Coding  # the only way to choose a coding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.net.certificate import DER_MAX, NAMES_MAX, TEXT_MAX, Shown, read

KEY = ec.generate_private_key(ec.SECP256R1())
DAY = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


def made(
    issuer: x509.Name, subject: x509.Name | None = None, names: tuple[str, ...] = ()
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject or issuer)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(DAY)
        .not_valid_after(DAY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if names:
        general: list[x509.GeneralName] = [x509.RFC822Name("someone@example.org")]
        for name in names:
            try:
                general.append(x509.IPAddress(ip_address(name)))
            except ValueError:
                general.append(x509.DNSName(name))
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return builder.sign(KEY, hashes.SHA256())


def name(organisation: str = "", common: str = "", coding: Coding = Coding.UTF8String) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COUNTRY_NAME, "DE")]
    if common:
        parts.append(x509.NameAttribute(NameOID.COMMON_NAME, common, coding))
    if organisation:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation, coding))
    return x509.Name(parts)


def oracle(certificate: x509.Certificate) -> Shown:
    def of(found: x509.Name) -> str:
        for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
            for part in found.get_attributes_for_oid(oid):
                return str(part.value)
        return ""

    try:
        alt = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = alt.get_values_for_type(x509.DNSName)
        hosts += [str(each) for each in alt.get_values_for_type(x509.IPAddress)]
    except x509.ExtensionNotFound:
        hosts = []
    issuer, subject = of(certificate.issuer), of(certificate.subject)
    return Shown(issuer, subject, tuple(sorted(set(hosts))[:NAMES_MAX]))


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize("coding", [Coding.UTF8String, Coding.PrintableString, Coding.BMPString])
@pytest.mark.parametrize("parts", [("Acme Ltd", "CN"), ("", "Only a common name"), ("", "")])
def test_names_are_read_in_the_codings_that_are_met(coding: Coding, parts: tuple[str, str]) -> None:
    certificate = made(name(*parts, coding=coding), name("Subject", "s"), ("a.test", "::1"))
    assert read(der(certificate)) == oracle(certificate)


def test_a_leaf_as_servers_show_it() -> None:
    leaf = trustme.CA(organization_name="Signers").issue_cert("b.test", "*.a.test", "127.0.0.1")
    shown = read(ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode()))
    assert (shown.issuer, shown.names) == ("Signers", ("*.a.test", "127.0.0.1", "b.test"))


LETTERS = st.characters(codec="utf-8", categories=("L", "N", "P"))
WORDS = st.text(LETTERS, min_size=1, max_size=40)
HOSTS = st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){1,3}", fullmatch=True)


@settings(max_examples=40)
@given(issuer=WORDS, subject=WORDS, hosts=st.lists(HOSTS, max_size=20))
def test_it_reads_what_the_oracle_reads(issuer: str, subject: str, hosts: list[str]) -> None:
    certificate = made(name(issuer), name(common=subject), tuple(hosts))
    found, expected = read(der(certificate)), oracle(certificate)
    assert found.names == expected.names
    for ours, theirs in ((found.issuer, expected.issuer), (found.subject, expected.subject)):
        assert ours == "".join(each if each.isprintable() else "?" for each in theirs)


GOOD = der(made(name("Acme Ltd", "CN"), name("Them", "them.test"), ("them.test", "10.0.0.1")))


@settings(max_examples=500)
@given(data=st.data())
def test_damaged_bytes_are_read_within_bounds_or_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOOD) - 1))
    damage = data.draw(st.binary(max_size=6))
    skip = data.draw(st.integers(0, 6))
    try:
        shown = read(GOOD[:at] + damage + GOOD[at + skip :])
    except ValueError:
        return
    texts = (shown.issuer, shown.subject, *shown.names)
    assert all(len(text) <= TEXT_MAX and text.isprintable() for text in texts)
    assert len(shown.names) <= NAMES_MAX


@given(st.binary(max_size=400))
def test_bytes_that_are_no_certificate_are_refused(junk: bytes) -> None:
    with pytest.raises(ValueError):
        read(junk)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (GOOD[:-1], "cut short"),
        (GOOD + b"\x05\x00", "2 elements where 1"),
        (b"\x30\x80" + GOOD[4:] + b"\0\0", "shortest form"),
        (b"\x30\x83\x00" + GOOD[2:4] + GOOD[4:], "shortest form"),
        (b"\x1f\x01", "long tag"),
        (b"\x30" * (DER_MAX + 1), "beyond 64 kB"),
    ],
)
def test_what_der_forbids_is_refused_with_its_reason(bad: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read(bad)
