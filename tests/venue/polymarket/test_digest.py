"""Our order ids and signatures against the SDK's own, for both kinds of wallet."""

from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.backends import get_backend
from eth_keys.backends.coincurve import CoinCurveECCBackend
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from polymarket._internal.actions.orders.orders import create_unsigned_order
from polymarket._internal.actions.orders.typed_data import (
    build_order_signature,
    build_order_typed_data,
)
from polymarket._internal.actions.orders.types import OrderDraft, UnsignedOrder
from polymarket._internal.environment import PRODUCTION_CONFIG
from polymarket._internal.wallet import derive_beacon_deposit_wallet_address
from polymarket.types import HexString

from venue.polymarket.digest import seal
from venue.polymarket.environment import CHAIN_ID

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


def by_sdk(order: UnsignedOrder) -> tuple[str, str]:
    """Id and signature as the SDK and eth_account make them, by general encoders."""
    typed = build_order_typed_data(order)
    raw = OWNER.sign_typed_data(full_message=typed).signature.hex()
    signature = build_order_signature(order, HexString("0x" + raw.removeprefix("0x")))
    plain = encode_typed_data(full_message=build_order_typed_data(replace(order, signature_type=0)))
    contents = plain.body
    if order.signature_type == 3:
        contents = bytes.fromhex(signature[2:])[65 + 32 : 65 + 64]
    return "0x" + keccak(b"\x19\x01" + plain.header + contents).hex(), str(signature)


@settings(max_examples=60, deadline=None)
@given(
    tokens,
    st.integers(1, 10**15),
    st.integers(1, 10**15),
    st.sampled_from(["BUY", "SELL"]),
    st.sampled_from([OWNER.address, DEPOSIT_WALLET]),
)
def test_id_and_signature_are_the_sdks_to_the_byte(
    token: str, maker: int, taker: int, side: str, wallet: str
) -> None:
    order = unsigned(token, maker, taker, side, wallet)
    assert order.signature_type == (3 if wallet == DEPOSIT_WALLET else 0)
    assert seal(order, bytes(OWNER.key)) == by_sdk(order)


@pytest.mark.parametrize(
    "field", ["salt", "maker_amount", "taker_amount", "timestamp", "signature_type"]
)
def test_every_signed_number_changes_the_id(field: str) -> None:
    order = unsigned("7" * 70, 5, 6, "BUY", OWNER.address)
    changed = replace(order, **{field: getattr(order, field) + 1})
    ids = {seal(one, bytes(OWNER.key))[0] for one in (order, changed)}
    assert len(ids) == 2


def test_signatures_are_made_by_coincurve() -> None:
    assert isinstance(get_backend(), CoinCurveECCBackend)
