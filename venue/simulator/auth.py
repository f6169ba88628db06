"""API keys: level 1 (a wallet's signature makes a key), level 2 (the key signs requests).

An address may have several keys, one per nonce; a key's secrets are derived from a secret of the
simulator's own, so that `derive-api-key` gives back the same ones for ever.
"""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from venue.simulator.eip712 import auth_digest, parse_address, recover
from venue.simulator.errors import bad, unauthorized

BAD_L1 = "Invalid L1 Request headers"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One set of credentials of one address."""

    key: str
    secret: str
    passphrase: str
    address: str
    nonce: int

    def __repr__(self) -> str:
        return f"ApiKey({self.key}, {self.address}, nonce={self.nonce})"

    def credentials(self) -> dict[str, str]:
        return {"apiKey": self.key, "secret": self.secret, "passphrase": self.passphrase}


def make_key(root: bytes, address: str, nonce: int, generation: int) -> ApiKey:
    """Derive the credentials of an address and nonce; `generation` counts re-creations."""
    seed = hmac.new(root, f"{address}|{nonce}|{generation}".encode(), hashlib.sha512).digest()
    return ApiKey(
        key=str(uuid.UUID(bytes=seed[:16], version=4)),
        secret=base64.urlsafe_b64encode(seed[16:48]).decode(),
        passphrase=hashlib.sha256(seed[48:]).hexdigest(),
        address=address,
        nonce=nonce,
    )


def verify_l1(headers: Mapping[str, str]) -> tuple[str, int]:
    """Check the headers of a level-1 request.

    Returns
    -------
    Checksummed address and nonce.

    Raises
    ------
    Refusal
        401 when anything is missing or the signature is not the address's.
    """
    address = parse_address(headers.get("POLY_ADDRESS"))
    timestamp = headers.get("POLY_TIMESTAMP", "")
    nonce_text = headers.get("POLY_NONCE", "0") or "0"
    if address is None or not _digits(timestamp, 15) or not _digits(nonce_text, 18):
        raise unauthorized(BAD_L1)
    nonce = int(nonce_text)
    signature = parse_hex(headers.get("POLY_SIGNATURE"))
    if signature is None or recover(auth_digest(address, timestamp, nonce), signature) != address:
        raise unauthorized(BAD_L1)
    return address, nonce


def sign_l2(secret: str, timestamp: str, method: str, path: str, body: bytes) -> str:
    """Signature of a level-2 request; `path` has no query string."""
    message = f"{timestamp}{method}{path}".encode() + body
    return base64.urlsafe_b64encode(hmac.digest(_raw(secret), message, "sha256")).decode()


@lru_cache(maxsize=1024)
def _raw(secret: str) -> bytes:
    return base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))


class Keyring:
    """All API keys, by key and by address and nonce."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._by_key: dict[str, ApiKey] = {}
        self._by_nonce: dict[tuple[str, int], ApiKey] = {}
        self._generation: dict[tuple[str, int], int] = {}

    def load(self, key: ApiKey, generation: int, live: bool) -> None:
        """Take back a key known before a restart."""
        self._generation[key.address, key.nonce] = generation
        if live:
            self._by_key[key.key] = key
            self._by_nonce[key.address, key.nonce] = key

    def create(self, address: str, nonce: int) -> tuple[ApiKey, int]:
        """Make a key. Raises Refusal 400 when address and nonce have one already."""
        slot = (address, nonce)
        if slot in self._by_nonce:
            raise bad("Could not create api key")
        generation = self._generation.get(slot, -1) + 1
        key = make_key(self._root, address, nonce, generation)
        self.load(key, generation, live=True)
        return key, generation

    def derive(self, address: str, nonce: int) -> ApiKey:
        key = self._by_nonce.get((address, nonce))
        if key is None:
            raise bad("Could not derive api key!")
        return key

    def of(self, address: str) -> list[ApiKey]:
        return [key for key in self._by_key.values() if key.address == address]

    def all(self) -> list[ApiKey]:
        return list(self._by_key.values())

    def get(self, key: str) -> ApiKey | None:
        return self._by_key.get(key)

    def revoke(self, key: ApiKey) -> int:
        """Forget a key; returns its generation."""
        self._by_key.pop(key.key, None)
        self._by_nonce.pop((key.address, key.nonce), None)
        return self._generation[key.address, key.nonce]

    def verify_l2(self, headers: Mapping[str, str], method: str, path: str, body: bytes) -> ApiKey:
        """Check a level-2 request. Raises Refusal 401 when it is not the key's."""
        key = self._by_key.get(headers.get("POLY_API_KEY", ""))
        timestamp = headers.get("POLY_TIMESTAMP", "")
        if (
            key is None
            or parse_address(headers.get("POLY_ADDRESS")) != key.address
            or not _same(headers.get("POLY_PASSPHRASE", ""), key.passphrase)
            or not _digits(timestamp, 15)
        ):
            raise unauthorized()
        expected = sign_l2(key.secret, timestamp, method, path, body)
        given = headers.get("POLY_SIGNATURE", "")
        if not _same(given, expected):
            raise unauthorized()
        return key

    def verify_plain(self, api_key: object, secret: object, passphrase: object) -> ApiKey | None:
        """Check credentials sent in the clear, as WebSockets do."""
        key = self._by_key.get(api_key) if isinstance(api_key, str) else None
        if key is None or not isinstance(secret, str) or not isinstance(passphrase, str):
            return None
        if not _same(secret, key.secret) or not _same(passphrase, key.passphrase):
            return None
        return key


def parse_hex(value: object) -> bytes | None:
    """Bytes of 0x-text; None for anything else."""
    if not isinstance(value, str) or value[:2] not in ("0x", "0X"):
        return None
    try:
        return bytes.fromhex(value[2:])
    except ValueError:
        return None


def _digits(value: str, longest: int) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= longest


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
