"""Our order id against the SDK's own typed data, by eth_account, for both kinds of wallet."""

from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.backends import get_backend
from eth_keys.backends.coincurve import CoinCurveECCBackend
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from polymarket._internal.actions.orders.orders import create_signed_order, create_unsigned_order
from polymarket._internal.actions.orders.typed_data import (
    build_order_signature,
    build_order_typed_data,
)
from polymarket._internal.actions.orders.types import OrderDraft
from polymarket._internal.environment import PRODUCTION_CONFIG
from polymarket._internal.wallet import derive_beacon_deposit_wallet_address
from polymarket.models.clob.orders import SignedOrder

from venue.polymarket.digest import order_digest
from venue.polymarket.environment import CHAIN_ID, protocol_version

OWNER = Account.from_key("0x" + "42" * 32)
DEPOSIT_WALLET = derive_beacon_deposit_wallet_address(
    OWNER.address, PRODUCTION_CONFIG.wallet_derivation
)
tokens = st.integers(2**200, 2**256 - 1).map(str)


def unsigned(token: str, maker: int, taker: int, side: Any, wallet: str) -> Any:
    draft = OrderDraft(
        chain_id=CHAIN_ID,
        exchange_address=PRODUCTION_CONFIG.standard_exchange,  # type: ignore[arg-type]
        expiration=0,
        funder_address=wallet,  # type: ignore[arg-type]
        offered_amount=maker,
        order_type="GTC",
        side=side,
        signer=OWNER.address,
        requested_amount=taker,
        asset_id=token,  # type: ignore[arg-type]
    )
    kind = "EOA" if wallet == OWNER.address else "DEPOSIT_WALLET"
    return create_unsigned_order(draft, wallet=wallet, wallet_type=kind)  # type: ignore[arg-type]


def digest(order: SignedOrder) -> str:
    return order_digest(
        order,
        chain_id=CHAIN_ID,
        exchange=PRODUCTION_CONFIG.standard_exchange,
        version=protocol_version(order.token_id),
    )


@settings(max_examples=40, deadline=None)
@given(tokens, st.integers(1, 10**15), st.integers(1, 10**15), st.sampled_from(["BUY", "SELL"]))
def test_plain_wallet_signs_the_digest_itself(
    token: str, maker: int, taker: int, side: str
) -> None:
    order = unsigned(token, maker, taker, side, OWNER.address)
    typed = build_order_typed_data(order)
    signable = encode_typed_data(full_message=typed)
    expected = "0x" + keccak(b"\x19\x01" + signable.header + signable.body).hex()
    signature = OWNER.sign_typed_data(full_message=typed).signature.hex()
    assert digest(create_signed_order(order, signature)) == expected


@settings(max_examples=20, deadline=None)
@given(tokens, st.integers(1, 10**15), st.integers(1, 10**15))
def test_deposit_wallets_digest_is_in_its_wrapped_signature(
    token: str, maker: int, taker: int
) -> None:
    order = unsigned(token, maker, taker, "BUY", DEPOSIT_WALLET)
    inner = OWNER.sign_typed_data(full_message=build_order_typed_data(order)).signature.hex()
    wrapped = build_order_signature(order, "0x" + inner.removeprefix("0x"))  # type: ignore[arg-type]
    trailer = bytes.fromhex(wrapped[2:])[65:]
    expected = "0x" + keccak(b"\x19\x01" + trailer[:32] + trailer[32:64]).hex()
    signed = create_signed_order(order, wrapped)
    assert signed.signature_type == 3
    assert signed.maker == signed.signer == DEPOSIT_WALLET
    assert digest(signed) == expected


@pytest.mark.parametrize(
    "field", ["salt", "maker_amount", "taker_amount", "timestamp", "signature_type"]
)
def test_every_signed_number_changes_the_id(field: str) -> None:
    order = create_signed_order(unsigned("7" * 70, 5, 6, "BUY", OWNER.address), "0x")  # type: ignore[arg-type]
    other = create_signed_order(unsigned("7" * 70, 5, 6, "BUY", OWNER.address), "0x")  # type: ignore[arg-type]
    same = {name: getattr(order, name) for name in order.__slots__}
    changed = SignedOrder(**same | {field: same[field] + 1})
    assert len({digest(order), digest(changed), digest(other)}) == 3


def test_signatures_are_made_by_coincurve() -> None:
    assert isinstance(get_backend(), CoinCurveECCBackend)
