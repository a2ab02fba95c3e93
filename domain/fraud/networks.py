"""A list of networks, such as those that hide their users, in which an address is found at once."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# The version of the protocol, and how many of an address's first bits name the network.
_Shape = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks of each shape by their first bits: a look-up asks once for each shape, however many there are."""

    by_shape: Mapping[_Shape, frozenset[int]] = field(default_factory=dict)

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Networks:
        """Read a network a line; what follows a # is a comment. Raises ValueError, which names the line's number.

        >>> Networks.parse(["# exits", "203.0.113.0/24", "", "2001:db8::1  # one address"]).contains("203.0.113.9")
        True
        """
        found: dict[_Shape, set[int]] = {}
        for number, line in enumerate(lines, 1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            try:
                network = ipaddress.ip_network(text, strict=False)
            except ValueError:
                raise ValueError(f"line {number} must be a network such as 203.0.113.0/24") from None
            first_bits = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
            found.setdefault((network.version, network.prefixlen), set()).add(first_bits)
        return cls({shape: frozenset(networks) for shape, networks in found.items()})

    def contains(self, ip: str) -> bool:
        """Tell whether an address lies in one of the networks. Raises ValueError for what is no address.

        >>> networks = Networks.parse(["10.0.0.0/8", "2001:db8::/32"])
        >>> [networks.contains(ip) for ip in ("10.1.2.3", "11.1.2.3", "2001:db8::7", "2001:db9::7")]
        [True, False, True, False]
        """
        address = ipaddress.ip_address(ip)
        bits, value = address.max_prefixlen, int(address)
        return any(
            value >> (bits - length) in networks
            for (version, length), networks in self.by_shape.items()
            if version == address.version
        )
