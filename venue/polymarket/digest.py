"""An order's id before it is sent: the EIP-712 digest of its signed fields.

The digest is the same for every wallet type; only what the wallet's owner signs differs (a
deposit wallet's owner signs the order wrapped as ERC-7739 nested data). Assembled by hand, about
20 microseconds.
"""

from functools import lru_cache

from eth_utils.crypto import keccak
from polymarket.models.clob.orders import SignedOrder as SdkOrder

_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_ORDER_TYPE = (
    b"Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,"
    b"uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,"
    b"bytes32 builder)"
)
_NAME = b"Polymarket CTF Exchange"
_ORDER_TYPE_HASH = keccak(_ORDER_TYPE)


def order_digest(order: SdkOrder, *, chain_id: int, exchange: str, version: str) -> str:
    """Id of a signed order, 0x and 64 hexadecimal digits.

    Parameters
    ----------
    exchange
        Address of the contract the order was signed for.
    version
        Version of the contract's signing domain, ``2`` or ``3``.
    """
    fields = b"".join(
        (
            _ORDER_TYPE_HASH,
            _word(order.salt),
            _address(order.maker),
            _address(order.signer),
            _word(int(order.token_id)),
            _word(order.maker_amount),
            _word(order.taker_amount),
            _word(0 if order.side == "BUY" else 1),
            _word(order.signature_type),
            _word(order.timestamp),
            _bytes32(order.metadata),
            _bytes32(order.builder),
        )
    )
    domain = _domain(chain_id, exchange, version)
    return "0x" + keccak(b"\x19\x01" + domain + keccak(fields)).hex()


@lru_cache(maxsize=16)
def _domain(chain_id: int, exchange: str, version: str) -> bytes:
    return keccak(
        keccak(_DOMAIN_TYPE)
        + keccak(_NAME)
        + keccak(version.encode())
        + _word(chain_id)
        + _address(exchange)
    )


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _address(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x")).rjust(32, b"\0")


def _bytes32(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))
