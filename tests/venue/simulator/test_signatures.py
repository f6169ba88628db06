"""Level-1, level-2 and order signatures: checked against independent implementations."""

import base64
import hashlib
import hmac
import time

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st
from polymarket._internal.hmac import build_hmac_signature
from polymarket._internal.l1_auth import sign_api_key_auth

from venue.simulator import eip712
from venue.simulator.auth import Keyring, make_key, sign_l2, verify_l1
from venue.simulator.errors import Refusal

OWNER = Account.from_key("0x" + "11" * 32)
FIELDS = [
    ("salt", "uint256"),
    ("maker", "address"),
    ("signer", "address"),
    ("tokenId", "uint256"),
    ("makerAmount", "uint256"),
    ("takerAmount", "uint256"),
    ("side", "uint8"),
    ("signatureType", "uint8"),
    ("timestamp", "uint256"),
    ("metadata", "bytes32"),
    ("builder", "bytes32"),
]


def l1_headers(nonce: int = 0, **changes: str) -> dict[str, str]:
    signed = sign_api_key_auth(OWNER, chain_id=137, timestamp=int(time.time()), nonce=nonce)
    headers = {
        "POLY_ADDRESS": signed.address,
        "POLY_NONCE": str(nonce),
        "POLY_SIGNATURE": signed.signature,
        "POLY_TIMESTAMP": str(signed.timestamp),
    }
    return headers | changes


def typed_data(order: eip712.SignedFields, exchange: str) -> dict:
    return {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Order": [{"name": name, "type": kind} for name, kind in FIELDS],
        },
        "primaryType": "Order",
        "domain": {
            "name": "Polymarket CTF Exchange",
            "version": "2",
            "chainId": 137,
            "verifyingContract": exchange,
        },
        "message": dict(
            zip(
                [name for name, _ in FIELDS],
                [
                    order.salt,
                    order.maker,
                    order.signer,
                    order.token_id,
                    order.maker_amount,
                    order.taker_amount,
                    order.side,
                    order.signature_type,
                    order.timestamp_ms,
                    order.metadata,
                    order.builder,
                ],
                strict=True,
            )
        ),
    }


uint = st.integers(0, 2**256 - 1)
addresses = st.binary(min_size=20, max_size=20).map(eip712.checksum)


@settings(max_examples=40, deadline=None)
@given(
    order=st.builds(
        eip712.SignedFields,
        salt=uint,
        maker=addresses,
        signer=addresses,
        token_id=uint,
        maker_amount=uint,
        taker_amount=uint,
        side=st.integers(0, 1),
        signature_type=st.integers(0, 3),
        timestamp_ms=uint,
        metadata=st.binary(min_size=32, max_size=32),
        builder=st.binary(min_size=32, max_size=32),
    ),
    exchange=st.sampled_from([eip712.EXCHANGE, eip712.NEG_RISK_EXCHANGE]),
)
def test_order_digest_equals_a_general_encoder_and_recovers_its_signer(order, exchange):
    signable = encode_typed_data(full_message=typed_data(order, exchange))
    signed = OWNER.sign_message(signable)
    digest = eip712.order_digest(order, exchange)
    assert digest == bytes(signed.message_hash)
    assert eip712.recover(digest, bytes(signed.signature)) == OWNER.address


@pytest.mark.parametrize("nonce", [0, 1, 7, 10**12])
def test_l1_signature_of_the_official_client_is_accepted(nonce):
    assert verify_l1(l1_headers(nonce)) == (OWNER.address, nonce)


@pytest.mark.parametrize(
    "changes",
    [
        {"POLY_NONCE": "1"},
        {"POLY_TIMESTAMP": "1"},
        {"POLY_ADDRESS": "0x" + "22" * 20},
        {"POLY_ADDRESS": "me"},
        {"POLY_SIGNATURE": "0x" + "00" * 65},
        {"POLY_SIGNATURE": "0x12"},
        {"POLY_SIGNATURE": "zz"},
        {"POLY_TIMESTAMP": "-5"},
        {"POLY_NONCE": "²"},
    ],
)
def test_wrong_l1_headers_are_refused_as_the_venue_does(changes):
    with pytest.raises(Refusal) as refusal:
        verify_l1(l1_headers(**changes))
    assert (refusal.value.status, refusal.value.error) == (401, "Invalid L1 Request headers")


def test_l2_signature_equals_the_official_client_and_the_definition():
    key = make_key(b"root", OWNER.address, 0, 0)
    body = '{"orderID":"0x1"}'
    ours = sign_l2(key.secret, "1700000000", "DELETE", "/order", body.encode())
    theirs = build_hmac_signature(
        secret=key.secret, timestamp=1700000000, method="DELETE", path="/order", body=body
    )
    raw = hmac.new(
        base64.urlsafe_b64decode(key.secret), f"1700000000DELETE/order{body}".encode(),
        hashlib.sha256,
    ).digest()  # fmt: skip
    assert ours == theirs == base64.urlsafe_b64encode(raw).decode()


def l2_headers(key, method="POST", path="/order", body=b"{}", **changes):
    headers = {
        "POLY_ADDRESS": key.address,
        "POLY_API_KEY": key.key,
        "POLY_PASSPHRASE": key.passphrase,
        "POLY_TIMESTAMP": "1700000000",
        "POLY_SIGNATURE": sign_l2(key.secret, "1700000000", method, path, body),
    }
    return headers | changes


def test_l2_request_is_bound_to_method_path_and_body():
    ring = Keyring(b"root")
    key, _ = ring.create(OWNER.address, 0)
    assert ring.verify_l2(l2_headers(key), "POST", "/order", b"{}") == key
    for method, path, body in (
        ("DELETE", "/order", b"{}"),
        ("POST", "/orders", b"{}"),
        ("POST", "/order", b"{} "),
    ):
        with pytest.raises(Refusal) as refusal:
            ring.verify_l2(l2_headers(key), method, path, body)
        assert refusal.value.status == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"POLY_API_KEY": "nobody"},
        {"POLY_PASSPHRASE": "wrong"},
        {"POLY_ADDRESS": "0x" + "22" * 20},
        {"POLY_TIMESTAMP": "1700000001"},
        {"POLY_TIMESTAMP": ""},
        {"POLY_SIGNATURE": "é"},
    ],
)
def test_wrong_l2_headers_are_refused(changes):
    ring = Keyring(b"root")
    key, _ = ring.create(OWNER.address, 0)
    with pytest.raises(Refusal) as refusal:
        ring.verify_l2(l2_headers(key, **changes), "POST", "/order", b"{}")
    assert refusal.value.error == "Unauthorized/Invalid api key"


def test_every_nonce_has_its_own_key_and_deriving_gives_it_back():
    ring = Keyring(b"root")
    first, _ = ring.create(OWNER.address, 0)
    second, _ = ring.create(OWNER.address, 1)
    assert first.key != second.key
    assert ring.derive(OWNER.address, 1) == second
    assert {key.key for key in ring.of(OWNER.address)} == {first.key, second.key}
    with pytest.raises(Refusal, match="Could not create api key"):
        ring.create(OWNER.address, 0)
    with pytest.raises(Refusal, match="Could not derive api key!"):
        ring.derive(OWNER.address, 2)


def test_a_revoked_key_is_dead_and_its_successor_is_another():
    ring = Keyring(b"root")
    first, _ = ring.create(OWNER.address, 0)
    ring.revoke(first)
    with pytest.raises(Refusal):
        ring.verify_l2(l2_headers(first), "POST", "/order", b"{}")
    second, _ = ring.create(OWNER.address, 0)
    assert second.key != first.key


def test_credentials_do_not_show_in_a_repr():
    key = make_key(b"root", OWNER.address, 0, 0)
    assert key.secret not in repr(key)
    assert key.passphrase not in repr(key)


def test_checksum_is_eip_55():
    assert eip712.parse_address(OWNER.address.lower()) == OWNER.address
    assert eip712.parse_address("0x" + "zz" * 20) is None
    assert eip712.parse_address(7) is None
