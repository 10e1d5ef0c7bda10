"""What the kernel says about routes."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.service.routes import default_routes

AF_INET, AF_INET6 = 2, 10


def message(kind=24, family=AF_INET, bits=0, route_type=1, extra=b""):
    body = struct.pack("=BBBBBBBBI", family, bits, 0, 0, 254, 3, 0, route_type, 0) + extra
    head = struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0)
    return head + body + bytes(-len(head + body) % 4)


def test_a_new_default_route_is_seen():
    assert list(default_routes(message())) == [AF_INET]
    assert list(default_routes(message(family=AF_INET6, extra=b"abc"))) == [AF_INET6]


def test_other_routes_and_removed_ones_are_not():
    assert not list(default_routes(message(bits=24)))
    assert not list(default_routes(message(kind=25)))
    assert not list(default_routes(message(route_type=6)))


def test_several_messages_in_one_datagram_are_all_looked_at():
    datagram = message(bits=24, extra=b"x") + message() + message(family=AF_INET6)
    assert list(default_routes(datagram)) == [AF_INET, AF_INET6]


@given(st.binary(max_size=200))
def test_no_datagram_is_too_strange(datagram):
    list(default_routes(datagram))
    list(default_routes(message() + datagram))
