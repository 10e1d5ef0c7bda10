import errno
import socket
import ssl

import pytest

from voicekiosk.agent.dial import LinkError, Proxy, _interleaved, http_status, of_exception
from voicekiosk.agent.events import Cause
from voicekiosk.agent.failures import ERRORS, Failure, Remedy, of_close, of_error, of_status

NOW_S = 1_800_000_000.0


@pytest.mark.parametrize("code", ERRORS)
def test_every_documented_code_is_compared_without_regard_to_case(code):
    assert of_error(code.upper(), "m", was_ready=False) == of_error(code, "m", was_ready=False)


def test_an_unknown_code_is_a_fault_of_the_server_to_be_tried_again_later():
    failure = of_error("strange", "", was_ready=False)
    assert (failure.cause, failure.remedy) == (Cause.SERVER, Remedy.LATER)


def test_no_error_after_ready_stops_for_good_since_the_next_attempt_will_tell():
    assert all(of_error(code, "", was_ready=True).remedy is not Remedy.STOP for code in ERRORS)


@pytest.mark.parametrize("code", ["unauthorized", "forbidden", "agent_not_found", "invalid_value"])
def test_what_only_the_owner_can_mend_stops(code):
    assert of_error(code, "", was_ready=False).remedy is Remedy.STOP


def test_no_close_frame_is_a_broken_network():
    failure = of_close(None, "nothing heard for 2.4 s", was_ready=True)
    assert (failure.cause, failure.remedy, failure.code) == (Cause.NETWORK, Remedy.AGAIN, "close_1006")
    assert "nothing heard" in failure.detail


def test_an_unknown_close_code_is_tried_again_later():
    assert of_close(4999, "", was_ready=True).remedy is Remedy.LATER


@pytest.mark.parametrize(
    ("status", "cause", "remedy"),
    [
        (200, Cause.CAPTIVE_PORTAL, Remedy.LATER),
        (302, Cause.CAPTIVE_PORTAL, Remedy.LATER),
        (511, Cause.CAPTIVE_PORTAL, Remedy.LATER),
        (401, Cause.KEY, Remedy.STOP),
        (403, Cause.KEY, Remedy.STOP),
        (404, Cause.CONFIG, Remedy.LATER),
        (407, Cause.PROXY, Remedy.LATER),
        (429, Cause.CAPACITY, Remedy.LATER),
        (503, Cause.SERVER, Remedy.LATER),
    ],
)
def test_an_http_status_tells_who_answered(status, cause, remedy):
    failure = of_status(status)
    assert (failure.cause, failure.remedy) == (cause, remedy)


def certificate_error(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Cause.DNS),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Cause.REFUSED),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), Cause.NO_ROUTE),
        (OSError(errno.EHOSTUNREACH, "No route to host"), Cause.NO_ROUTE),
        (TimeoutError(), Cause.TIMEOUT),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Cause.NETWORK),
        (ssl.SSLError(1, "wrong version number"), Cause.TLS),
        (certificate_error(18, "self-signed certificate"), Cause.TLS),
        (certificate_error(62, "Hostname mismatch"), Cause.TLS),
        (certificate_error(10, "certificate has expired"), Cause.TLS),
        (certificate_error(9, "certificate is not yet valid"), Cause.CLOCK),
        (LinkError(Failure(Cause.PROXY, Remedy.LATER, "p", "d")), Cause.PROXY),
    ],
)
def test_the_causes_of_a_failed_connection_are_told_apart(error, cause):
    assert of_exception(error, "host", NOW_S).cause is cause


@pytest.mark.parametrize("system_time_s", [0.0, 1_000_000_000.0, 5_000_000_000.0])
def test_an_expired_certificate_under_an_implausible_date_is_the_clocks_fault(system_time_s):
    error = certificate_error(10, "certificate has expired")
    assert of_exception(error, "host", system_time_s).cause is Cause.CLOCK


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\n", 101),
        (b"HTTP/1.0 200 OK", 200),
        (b"HTTP/1.1 204", 204),
        (b"SSH-2.0-OpenSSH\r\n", None),
        (b"HTTP/1.1 abc\r\n", None),
        (b"", None),
    ],
)
def test_a_status_is_read_only_from_http(answer, status):
    assert http_status(answer) == status


def test_address_families_take_turns():
    six, four = socket.AF_INET6, socket.AF_INET
    addresses = [(six, ("::1", 1, 0, 0)), (six, ("::2", 1, 0, 0)), (four, ("1.1.1.1", 1))]
    assert [family for family, _ in _interleaved(addresses)] == [six, four, six]
    assert _interleaved([]) == []


@pytest.mark.parametrize(
    "url", ["proxy:3128", "socks5://proxy:1", "https://proxy", "http://", "http://a:99999"]
)
def test_a_proxy_that_is_no_http_proxy_is_refused(url):
    with pytest.raises(LinkError) as error:
        Proxy(url)
    assert error.value.failure.cause is Cause.PROXY


def test_a_proxy_has_a_usual_port():
    proxy = Proxy("http://proxy.example")
    assert (proxy.host, proxy.port) == ("proxy.example", 3128)


def test_a_refusal_by_a_proxy_does_not_tell_its_password():
    proxy = Proxy("http://user:hunter2@proxy.example:8080")
    assert "hunter2" not in str(proxy.unreachable(OSError(1, "x")))
