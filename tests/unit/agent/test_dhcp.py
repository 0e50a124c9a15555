from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tungsten.agent.services.dhcp import (
    COOKIE,
    DhcpError,
    Lease,
    Message,
    MessageType,
    Option,
    classless_routes,
    decode,
    encode,
    goes_to_broadcast,
    host_label,
    respond,
)

# What busybox udhcpc 1.35.0 sends first (the UDP payload, captured on a veth).
DISCOVER = (
    bytes.fromhex("01010600b1e4f8480000000000000000000000000000000000000000")
    + bytes.fromhex("02a0ee123456").ljust(16, b"\0")
    + bytes(192)
    + COOKIE
    + bytes.fromhex("3501013902024037070103060c0f1c2a")
    + bytes.fromhex("3c0c756468637020312e33352e303d070102a0ee123456ff")
    + bytes(20)
)
MAC = bytes.fromhex("02a0ee123456")
LEASE = Lease(
    address=IPv4Address("10.0.1.3"),
    prefix_length=24,
    server=IPv4Address("10.0.1.2"),
    router=IPv4Address("10.0.1.1"),
    dns=(IPv4Address("10.0.1.2"),),
    domain="example.org",
    host_name="vm1",
    mtu=1450,
)


def message(kind: MessageType, **changes: object) -> Message:
    options = {Option.MESSAGE_TYPE: bytes((kind,))}
    options.update(changes.pop("options", {}))  # type: ignore[call-overload]
    return Message(op=1, xid=7, chaddr=MAC, options=options, **changes)  # type: ignore[arg-type]


def test_a_real_discover_is_read() -> None:
    request = decode(DISCOVER)
    assert request.type is MessageType.DISCOVER
    assert (request.xid, request.chaddr, request.flags) == (0xB1E4F848, MAC, 0)
    assert request.options[60] == b"udhcp 1.35.0"
    assert request.options[61] == b"\x01" + MAC


def test_the_offer_to_it_byte_for_byte() -> None:
    answer = respond(decode(DISCOVER), LEASE)
    assert answer is not None
    data = encode(answer)
    head = "02010600b1e4f8480000000000000000" + "0a000103" + "0a000102" + "00000000"
    assert data[:28] == bytes.fromhex(head)
    assert data[28:44] == MAC.ljust(16, b"\0")
    assert data[44:236] == bytes(192)
    options = (
        "350102"  # type OFFER
        "36040a000102"  # server
        "0104ffffff00"  # mask
        "1c040a0001ff"  # broadcast
        "3304ffffffff"  # lease for ever
        "03040a000101"  # router
        "0c03766d31"  # host name
        "06040a000102"  # DNS
        "0f0b6578616d706c652e6f7267"  # domain
        "1a0205aa"  # MTU
        "ff"
    )
    assert data[236:].rstrip(b"\0") == COOKIE + bytes.fromhex(options)


def test_a_request_for_the_own_address_is_acknowledged() -> None:
    answer = respond(
        message(
            MessageType.REQUEST,
            options={
                Option.REQUESTED_ADDRESS: LEASE.address.packed,
                Option.SERVER_ID: LEASE.server.packed,
            },
        ),
        LEASE,
    )
    assert answer is not None
    assert (answer.type, answer.yiaddr) == (MessageType.ACK, LEASE.address)


@pytest.mark.parametrize("wanted", ["10.0.1.4", "192.0.2.1", "255.255.255.255"])
def test_a_request_for_another_address_is_refused(wanted: str) -> None:
    request = message(
        MessageType.REQUEST, options={Option.REQUESTED_ADDRESS: IPv4Address(wanted).packed}
    )
    answer = respond(request, LEASE)
    assert answer is not None
    assert (answer.type, int(answer.yiaddr)) == (MessageType.NAK, 0)
    assert goes_to_broadcast(request, answer)


def test_a_renewal_is_answered_to_the_address() -> None:
    request = message(MessageType.REQUEST, ciaddr=LEASE.address, flags=0x8000)
    answer = respond(request, LEASE)
    assert answer is not None
    assert (answer.type, answer.ciaddr) == (MessageType.ACK, LEASE.address)
    assert not goes_to_broadcast(request, answer)


def test_another_servers_client_is_left_alone() -> None:
    other = {Option.SERVER_ID: IPv4Address("10.0.1.9").packed}
    assert respond(message(MessageType.REQUEST, options=other), LEASE) is None
    assert respond(message(MessageType.RELEASE), LEASE) is None
    assert respond(message(MessageType.DECLINE), LEASE) is None


def test_inform_gets_options_without_lease_or_address() -> None:
    answer = respond(message(MessageType.INFORM, ciaddr=LEASE.address), LEASE)
    assert answer is not None
    assert int(answer.yiaddr) == 0
    assert Option.LEASE not in answer.options
    assert answer.options[Option.ROUTER] == LEASE.router.packed  # type: ignore[union-attr]


def test_classless_routes_as_in_rfc_3442() -> None:
    gateway = IPv4Address("10.0.1.1")
    networks = ["0.0.0.0/0", "10.0.0.0/8", "10.17.0.0/16", "10.229.0.128/25", "10.198.122.47/32"]
    value = classless_routes(tuple((IPv4Network(network), gateway) for network in networks))
    g = "0a000101"
    expected = f"00{g}080a{g}100a11{g}190ae50080{g}200ac67a2f{g}"
    assert value == bytes.fromhex(expected)


def test_configured_options_win_over_the_servers_own() -> None:
    lease = Lease(
        address=LEASE.address,
        prefix_length=24,
        server=LEASE.server,
        router=LEASE.router,
        extra=((Option.ROUTER, b"\1\2\3\4"), (Option.ROUTER, b"\5\5\5\5"), (42, b"\x0a\0\0\1")),
    )
    answer = respond(decode(DISCOVER), lease)
    assert answer is not None
    assert answer.options[Option.ROUTER] == b"\1\2\3\4"
    assert list(answer.options)[:5] == [53, 54, 1, 28, 3]


def test_long_options_are_split_and_joined() -> None:
    routes = tuple((IPv4Network((i << 8, 24)), IPv4Address(1)) for i in range(40))
    lease = Lease(
        address=LEASE.address, prefix_length=24, server=LEASE.server, router=None, routes=routes
    )
    answer = respond(decode(DISCOVER), lease)
    assert answer is not None
    data = encode(answer)
    again = decode(b"\x01" + data[1:])
    assert again.options[Option.CLASSLESS_ROUTES] == classless_routes(routes)


def test_an_answer_too_long_is_an_error() -> None:
    with pytest.raises(DhcpError, match="octets"):
        encode(Message(op=2, xid=1, chaddr=MAC, options={200: bytes(1400)}))


def overload(value: int, file: bytes = b"", sname: bytes = b"") -> bytes:
    head = DISCOVER[:44] + sname.ljust(64, b"\0") + file.ljust(128, b"\0") + COOKIE
    return head + bytes((52, 1, value)) + b"\xff"


def test_overloaded_fields_are_read_once_each() -> None:
    file = b"\x34\x01\x03\x32\x04\x0a\x00\x01\x03\xff"
    sname = b"\x34\x01\x03\x35\x01\x03\xff"
    assert decode(overload(3, file, sname)).type is MessageType.REQUEST
    assert 50 in decode(overload(1, file, sname)).options
    assert 50 not in decode(overload(2, file, sname)).options
    assert 50 not in decode(overload(4, file, sname)).options


@pytest.mark.parametrize("length", range(len(DISCOVER) - 20))
def test_every_truncation_is_read_or_refused(length: int) -> None:
    try:
        decode(DISCOVER[:length])
    except DhcpError:
        return
    assert length >= 240


@pytest.mark.parametrize(
    ("offset", "value", "what"),
    [
        (0, b"\2", "op is 2"),
        (1, b"\6", "htype 6"),
        (2, b"\x10", "hlen 16"),
        (24, b"\1\1\1\1", "giaddr is 1.1.1.1"),
        (236, b"\0\0\0\0", "cookie"),
        (240, b"\x35\xff", "runs past the end"),
    ],
)
def test_a_malformed_field_is_named(offset: int, value: bytes, what: str) -> None:
    data = DISCOVER[:offset] + value + DISCOVER[offset + len(value) :]
    with pytest.raises(DhcpError, match=what):
        decode(data)


@given(st.binary(max_size=600))
def test_any_octets_are_read_or_refused(data: bytes) -> None:
    for candidate in (data, DISCOVER[:240] + data):
        try:
            answer = respond(decode(candidate), LEASE)
        except DhcpError:
            continue
        if answer is not None:
            assert len(encode(answer)) >= 300


@given(st.dictionaries(st.integers(1, 254), st.binary(max_size=300), max_size=4))
def test_what_is_encoded_decodes_to_the_same(options: dict[int, bytes]) -> None:
    options.pop(Option.OVERLOAD, None)
    original = Message(op=1, xid=9, chaddr=MAC, flags=0x8000, options=options)
    try:
        data = encode(original)
    except DhcpError:
        return
    assert decode(data) == original


@given(st.text(max_size=300))
def test_host_names_carry_only_letters_digits_and_hyphens(name: str) -> None:
    label = host_label(name)
    assert len(label) <= 63
    assert label.replace("-", "a").isalnum() or label == ""
    assert label.isascii()
    assert not label.startswith("-")
    assert not label.endswith("-")
