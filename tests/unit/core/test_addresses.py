"""Only addresses of the public internet are public, however they are dressed up."""

from __future__ import annotations

import ipaddress
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopsproject.core.safe_fetch import is_public

INTERNAL_4 = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
    "240.0.0.0/4",
]  # fmt: skip
INTERNAL_6 = [
    "::/128", "::1/128", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "100::/64", "64:ff9b:1::/48", "2001::/32",
    "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16",
]  # fmt: skip


def addresses_of(networks: list[str]) -> st.SearchStrategy[IPv4Address | IPv6Address]:
    return st.sampled_from(networks).flatmap(lambda text: st.ip_addresses(network=text))


@given(addresses_of(INTERNAL_4))
def test_no_internal_ipv4_address_is_public_nor_what_carries_one(address: IPv4Address) -> None:
    assert not is_public(address)
    number = int(address)
    assert not is_public(IPv6Address(0xFFFF << 32 | number)), "mapped"
    assert not is_public(IPv6Address(number)), "compatible"
    assert not is_public(IPv6Address(0x64FF9B << 96 | number)), "NAT64"
    assert not is_public(IPv6Address(0x2002 << 112 | number << 80)), "6to4"
    assert not is_public(IPv6Address(0x20010000 << 96 | number ^ 0xFFFFFFFF)), "Teredo"


@given(addresses_of(INTERNAL_6))
def test_no_internal_ipv6_address_is_public(address: IPv6Address) -> None:
    assert not is_public(address)


@given(st.ip_addresses())
def test_what_is_public_is_global_to_python_too(address: IPv4Address | IPv6Address) -> None:
    assert not is_public(address) or (address.is_global and not address.is_multicast)


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_judged_as_itself(address: IPv4Address) -> None:
    number = int(address)
    assert is_public(IPv6Address(0xFFFF << 32 | number)) == is_public(address)
    assert is_public(IPv6Address(0x64FF9B << 96 | number)) == is_public(address)


@given(addresses_of(INTERNAL_4))
def test_odd_spellings_of_an_internal_address_resolve_to_what_is_refused(address: IPv4Address) -> None:
    number, parts = int(address), address.packed
    spellings = [
        str(number), hex(number), f"0{number:o}", ".".join(map(hex, parts)), ".".join(f"0{part:o}" for part in parts),
        f"{parts[0]}.{number & 0xFFFFFF}", f"{parts[0]}.{parts[1]}.{number & 0xFFFF}",
    ]  # fmt: skip
    for spelling in spellings:
        found = {entry[4][0] for entry in socket.getaddrinfo(spelling, 80, type=socket.SOCK_STREAM)}
        assert found == {str(address)}
        assert not any(is_public(ip_address(text)) for text in found)


@pytest.mark.parametrize(
    "text",
    [
        "169.254.169.254",
        "fd00:ec2::254",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "fe80::1%eth0",
        "2606:4700::1111%1",
    ],
)
def test_metadata_services_and_zones_are_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", ["1.1.1.1", "93.184.215.14", "9.255.255.255", "172.32.0.1", "2606:4700::1111"])
def test_hosts_of_the_internet_are_public(text: str) -> None:
    assert is_public(ip_address(text))


def test_the_lists_here_are_what_python_knows_to_be_internal() -> None:
    for text in (*INTERNAL_4, *INTERNAL_6):
        network: IPv4Network | IPv6Network = ipaddress.ip_network(text)
        assert not is_public(network[0])
        assert not is_public(network[-1])
