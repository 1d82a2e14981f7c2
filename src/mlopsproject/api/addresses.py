"""Which network addresses are public: those that a server may be sent to by a stranger."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import Final

Address = IPv4Address | IPv6Address

#: IANA's special-purpose blocks, written out because releases of `ipaddress` do not agree on all of them, with
#: documentation, benchmarks, multicast, 6to4 and Teredo. Some hold the metadata services of clouds: 100.64/10
#: (Alibaba), 169.254/16 (most), 192.0.0/24 (Oracle), and 168.63.129.16 (Azure), which lies in the public range.
_SPECIAL: Final = tuple(map(ip_network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)))  # fmt: skip
#: All that is assigned for global unicast; loopback, link-local, unique-local, site-local and multicast lie outside.
_UNICAST_6: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet.

    An IPv6 address that stands for an IPv4 address (mapped, NAT64) is judged by that one.

    Args:
        address: as the resolver gave it.
    """
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(IPv4Address(address.packed[-4:]))
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.scope_id is not None or address not in _UNICAST_6:
            return False
    return not any(address in block for block in _SPECIAL)
