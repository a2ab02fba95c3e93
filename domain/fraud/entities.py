"""Entities: what several payments may share, such as a card or a device. They are known by keyed hashes only."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

# 128 bits: two values of one application never meet by chance.
_HASH_DIGITS = 32
_LONGEST_NAME = 40
# The application of an entity that all applications share.
EVERY_APPLICATION = ""
_NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{_LONGEST_NAME - 1}}}")


class EntityKind(StrEnum):
    """The kinds that every application has. Others are named by its requests: see `is_shared_name`."""

    USER = "user"
    CARD = "card"
    BIN = "bin"
    IP = "ip"
    NETWORK = "network"
    DEVICE = "device"
    EMAIL = "email"
    EMAIL_PATTERN = "email_pattern"
    ADDRESS = "address"


# Whoever has one of these is one person, or nearly so.
PERSONAL = frozenset({EntityKind.USER, EntityKind.EMAIL, EntityKind.ADDRESS, EntityKind.DEVICE})


def is_shared_name(name: str) -> bool:
    """Tell whether a request may name a further kind of entity so.

    >>> is_shared_name("merchant_account"), is_shared_name("user"), is_shared_name("Merchant account")
    (True, False, False)
    """
    return _NAME.fullmatch(name) is not None and name not in set(EntityKind)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a try shows of who pays and with what, in plain text: it is hashed at once and stored nowhere.

    `card`: a fingerprint that is the same for all tokens of a card, or the token. `bin`: the card's first six or eight
    digits. `address`: the billing address, its lines joined. `shared`: further entities by the names of their kinds."""

    user: str | None = None
    card: str | None = None
    bin: str | None = None
    ip: str | None = None
    device: str | None = None
    email: str | None = None
    address: str | None = None
    shared: Mapping[str, str] = field(default_factory=dict)

    def values(self) -> dict[str, str]:
        """Return the normal form of what is known, by kind."""
        found = {
            EntityKind.USER: self.user,
            EntityKind.CARD: self.card,
            EntityKind.BIN: self.bin,
            EntityKind.IP: normal_ip(self.ip),
            EntityKind.NETWORK: network_of(self.ip),
            EntityKind.DEVICE: self.device,
            EntityKind.EMAIL: normal_email(self.email),
            EntityKind.EMAIL_PATTERN: pattern_of_email(self.email),
            EntityKind.ADDRESS: normal_address(self.address),
        }
        return {str(kind): value for kind, value in found.items() if value} | dict(self.shared)


def normal_ip(text: str | None) -> str | None:
    """Return an address on the internet in its one form; None for what is none.

    >>> normal_ip("2001:DB8:0::1"), normal_ip(" 203.0.113.9"), normal_ip("::ffff:203.0.113.9"), normal_ip("here")
    ('2001:db8::1', '203.0.113.9', '203.0.113.9', None)
    """
    try:
        address = ipaddress.ip_address((text or "").strip())
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def network_of(ip: str | None) -> str | None:
    """Return the network of an address on the internet: /24 of IPv4, /48 of IPv6; None for what is no address.

    >>> network_of("203.0.113.9"), network_of("2001:db8:7::1"), network_of("::ffff:203.0.113.9"), network_of("here")
    ('203.0.113.0/24', '2001:db8:7::/48', '203.0.113.0/24', None)
    """
    normal = normal_ip(ip)
    if normal is None:
        return None
    address = ipaddress.ip_address(normal)
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


def normal_email(email: str | None) -> str | None:
    """Return the mailbox that an address means: in lower case, without a tag; None for what is no address.

    >>> normal_email("Ada+shop@Example.com"), normal_email("ada")
    ('ada@example.com', None)
    """
    local, at, domain = (email or "").strip().lower().rpartition("@")
    name = local.partition("+")[0]
    return f"{name}@{domain}" if at and name and domain else None


def pattern_of_email(email: str | None) -> str | None:
    """Return what numbered addresses have in common: the mailbox without its digits; None if only digits are left out.

    >>> pattern_of_email("name0001@example.com"), pattern_of_email("name0002@example.com"), pattern_of_email("12@b.c")
    ('name@example.com', 'name@example.com', None)
    """
    local, at, domain = (normal_email(email) or "").rpartition("@")
    letters = re.sub(r"\d", "", local)
    return f"{letters}@{domain}" if at and letters else None


def normal_address(address: str | None) -> str | None:
    """Return an address in lower case, its marks and gaps made one space.

    >>> normal_address("12, Main  St.\\nSpringfield")
    '12 main st springfield'
    """
    return " ".join(re.findall(r"\w+", (address or "").lower())) or None


def normal_value(kind: str, text: str) -> str | None:
    """Return the form in which an entity of a kind is hashed that a person has named; None for what is none.

    >>> normal_value("network", "203.0.113.0/24"), normal_value("email", "Ada+1@example.com")
    ('203.0.113.0/24', 'ada@example.com')
    >>> normal_value("merchant_account", " acct_1 "), normal_value("Merchant", "acct_1")
    ('acct_1', None)
    """
    given = text.strip()
    match kind:
        case EntityKind.EMAIL:
            return normal_email(given)
        case EntityKind.EMAIL_PATTERN:
            return pattern_of_email(given)
        case EntityKind.ADDRESS:
            return normal_address(given)
        case EntityKind.NETWORK:
            return network_of(given.partition("/")[0])
        case EntityKind.IP:
            return normal_ip(given)
        case EntityKind.USER | EntityKind.CARD | EntityKind.BIN | EntityKind.DEVICE:
            return given or None
    return given if is_shared_name(kind) and given else None


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity of an application. `hashes`: under each key, the present one first; all are read, the first is
    written."""

    kind: str
    hashes: tuple[str, ...]

    @property
    def hash(self) -> str:
        """The hash that is written."""
        return self.hashes[0]


def entities_of(subject: Subject, application: str, keys: Iterable[str]) -> tuple[Entity, ...]:
    """Return the entities of a try, sorted by what is written, so that all lock them in one order.

    >>> found = entities_of(Subject(user="ada", ip="203.0.113.9"), "shop", ["key"])
    >>> sorted(entity.kind for entity in found), len(found[0].hash)
    (['ip', 'network', 'user'], 32)
    """
    given = tuple(keys)
    found = (
        Entity(kind, tuple(_hash(key, application, kind, value) for key in given))
        for kind, value in subject.values().items()
    )
    return tuple(sorted(found, key=lambda entity: entity.hash))


def entity_named(kind: str, text: str, application: str | None, keys: Iterable[str]) -> Entity | None:
    """Return the entity that a person has named, of an application or of all (None); None for what is none.

    >>> named = entity_named("user", "ada", "shop", ["key"])
    >>> (named,) == entities_of(Subject(user="ada"), "shop", ["key"])
    True
    """
    value = normal_value(kind, text)
    if value is None:
        return None
    owner = EVERY_APPLICATION if application is None else application
    return Entity(kind, tuple(_hash(key, owner, kind, value) for key in keys))


def _hash(key: str, application: str, kind: str, value: str) -> str:
    text = "\0".join((application, kind, value))
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:_HASH_DIGITS]
