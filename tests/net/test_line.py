"""What a connection shows of who answers, kept once for all its askings."""

from __future__ import annotations

import ssl

import pytest
import trustme
from tests.net.asking import LOOPS, ask, begin, on_loop
from tests.net.script_server import ScriptServer, closed_port, read, reset, send

from holdfast.net.dial import Dialer

FIRST = (
    b"HTTP/1.1 200 OK\r\nServer: edge/1.2\r\nCF-Ray: 8f00-FRA\r\nX-Request-Id: r1\r\n"
    b"Set-Cookie: secret=1\r\nContent-Length: 2\r\n\r\nhi"
)
SECOND = b"HTTP/1.1 200 OK\r\nServer: other\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize("loop", sorted(LOOPS))
def test_one_connection_is_told_once_with_the_first_answers_marks(loop: str) -> None:
    ca = trustme.CA(organization_name="Good Signers Ltd")
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1", "api.them.test").configure_cert(inside)
    outside = ssl.create_default_context()
    ca.configure_trust(outside)

    async def flight(dialer: Dialer) -> None:
        script = [read(), send(FIRST), read(), send(SECOND)]
        with ScriptServer(script, tls=inside) as server:
            first, second = await ask(dialer, server.url), await ask(dialer, server.url)
        assert first.line is not None
        assert second.line is not None
        shown = first.line.evidence
        assert shown is not None
        assert second.reused
        assert second.line.evidence is shown
        assert (shown.address, shown.issuer) == ("127.0.0.1", "Good Signers Ltd")
        assert shown.names == ("127.0.0.1", "api.them.test")
        assert shown.tls in ("TLSv1.2", "TLSv1.3")
        assert shown.headers == (
            ("server", "edge/1.2"),
            ("cf-ray", "8f00-FRA"),
            ("x-request-id", "r1"),
        )
        for took_s in (shown.dns_s, shown.connect_s, shown.tls_s, shown.headers_s):
            assert took_s is not None
            assert 0 <= took_s < 10

    on_loop(loop, flight, ssl_context=outside)


@pytest.mark.parametrize("loop", sorted(LOOPS))
def test_a_connection_without_an_answer_shows_its_dialling(loop: str) -> None:
    async def flight(dialer: Dialer) -> None:
        with ScriptServer([read(), reset()]) as server:
            note = begin(dialer, server.url)
            assert note.line is not None
            assert note.line.evidence is None  # nothing was dialled yet
            await note.end()
            shown = note.line.evidence
        assert shown is not None
        assert (shown.address, shown.headers, shown.headers_s) == ("127.0.0.1", (), None)
        assert (shown.tls_s, shown.tls, shown.alpn, shown.issuer) == (None, "", "", "")
        assert shown.connect_s is not None

        refused = await ask(dialer, f"http://127.0.0.1:{closed_port()}")
        assert refused.line is not None
        assert refused.line.evidence is not None
        assert refused.line.evidence.address == "127.0.0.1"
        assert refused.line.evidence.connect_s is None

    on_loop(loop, flight)
