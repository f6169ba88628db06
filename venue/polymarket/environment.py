"""Everything of the SDK's inside that we touch, in one place, checked before first use.

The SDK (pinned to one version) has no public way to change its addresses, to describe an order
whose market it has not fetched, to open a client with credentials it should not re-validate, or
to read a reply as the venue sent it. These helpers do, and `check_sdk` names what is missing after
an upgrade instead of failing somewhere in the middle of trading.
"""

import dataclasses
import inspect
import time
from typing import Any, cast

from eth_account import Account
from polymarket import AsyncSecureClient
from polymarket._internal.actions import auth as sdk_auth
from polymarket._internal.actions.orders import orders as sdk_orders
from polymarket._internal.actions.orders.context import resolve_order_exchange_address
from polymarket._internal.actions.orders.orders import create_signed_order, create_unsigned_order
from polymarket._internal.actions.orders.types import OrderDraft
from polymarket._internal.environment import PRODUCTION_CONFIG, create_environment
from polymarket._internal.l1_auth import sign_api_key_auth
from polymarket._internal.protocol import is_v2_position_id
from polymarket._internal.wallet import signature_type_for
from polymarket.clients._transport import AsyncTransport
from polymarket.environments import Environment
from polymarket.models import ApiKeyCreds
from polymarket.models.clob.orders import SignedOrder as SdkOrder
from polymarket.rate_limit import RateLimitUpdateListener
from polymarket.types import HexString

from models.errors import ConfigError
from venue.polymarket.digest import seal
from venue.polymarket.endpoints import Endpoints

CHAIN_ID: int = PRODUCTION_CONFIG.chain_id

_NEEDED: tuple[tuple[object, str, tuple[str, ...]], ...] = (
    (AsyncSecureClient, "_create", ("private_key", "credentials", "validate_credentials")),
    (AsyncSecureClient, "_ensure_wallet_ready", ("self",)),
    (sdk_orders, "create_unsigned_order", ("draft", "wallet", "wallet_type")),
    (sdk_orders, "create_signed_order", ("order", "signature", "post_only")),
    (AsyncSecureClient, "post_order", ("signed_order",)),
    (AsyncSecureClient, "cancel_orders", ("order_ids",)),
    (AsyncSecureClient, "send_order_heartbeat", ("heartbeat_id",)),
    (sdk_auth, "create_api_key", ("clob", "signature")),
    (sdk_auth, "derive_api_key", ("clob", "signature")),
    (AsyncTransport, "get_json", ("path", "params")),
    (AsyncTransport, "get_bytes", ("path", "params")),
)
_URL_FIELDS = (
    "clob_url", "gamma_url", "data_url", "relayer_url", "rfq_url", "rpc_url",
    "clob_market_ws_url", "clob_user_ws_url", "rtds_ws_url", "realtime_ws_url",
)  # fmt: skip


def check_sdk() -> None:
    """Make sure that the SDK still has the insides we use.

    Raises
    ------
    ConfigError
        Names the first part that is missing or has changed.
    """
    for owner, name, parameters in _NEEDED:
        found = getattr(owner, name, None)
        if found is None:
            raise _changed(f"{getattr(owner, '__name__', owner)}.{name} is gone")
        missing = set(parameters) - set(inspect.signature(found).parameters)
        if missing:
            raise _changed(f"{name} no longer takes {', '.join(sorted(missing))}")
    fields = {field.name for field in dataclasses.fields(PRODUCTION_CONFIG)}
    if absent := set(_URL_FIELDS) - fields:
        raise _changed(f"its environment has no {', '.join(sorted(absent))}")


def _changed(what: str) -> ConfigError:
    return ConfigError(
        f"polymarket-client has changed: {what}; install the version pinned in pyproject.toml"
    )


def environment(where: Endpoints) -> Environment:
    """SDK environment that talks to `where` and nowhere else."""
    config = dataclasses.replace(
        PRODUCTION_CONFIG,
        clob_url=where.clob,
        gamma_url=where.gamma,
        data_url=where.data,
        relayer_url=where.relayer,
        clob_market_ws_url=where.ws_market,
        clob_user_ws_url=where.ws_user,
        rtds_ws_url=where.ws_prices,
        realtime_ws_url=where.ws_live,
    )
    if where.clob != PRODUCTION_CONFIG.clob_url:
        # A stand-in must never make the SDK reach the real services it does not stand in for.
        config = dataclasses.replace(config, rfq_url=where.relayer, rpc_url=where.relayer)
    return create_environment(name="floor", config=config)


async def open_client(
    *,
    private_key: str,
    wallet: str | None,
    where: Endpoints,
    credentials: ApiKeyCreds,
    on_rate_limit: RateLimitUpdateListener,
) -> AsyncSecureClient:
    """Open a client with just these credentials.

    The public constructor replaces credentials that fail its own check by those of nonce 0, which
    would hand one agent another agent's key.
    """
    client = await AsyncSecureClient._create(
        private_key=private_key,
        wallet=wallet,
        environment=environment(where),
        credentials=credentials,
        validate_credentials=False,
        on_rate_limit_update=on_rate_limit,
    )
    try:
        return await client._ensure_wallet_ready()
    except BaseException:
        await client.close()
        raise


async def api_key(private_key: str, nonce: int, where: Endpoints, *, create: bool) -> ApiKeyCreds:
    """Derive (or create) the API key of a nonce. Raises the SDK's errors."""
    signer = Account.from_key(private_key)
    signature = sign_api_key_auth(
        signer, chain_id=CHAIN_ID, timestamp=int(time.time()), nonce=nonce
    )
    transport = AsyncTransport(base_url=where.clob)
    try:
        call = sdk_auth.create_api_key if create else sdk_auth.derive_api_key
        return await call(transport, signature)
    finally:
        await transport.close()


def draft(
    client: AsyncSecureClient,
    *,
    token_id: str,
    side: str,
    order_type: str,
    maker_amount: int,
    taker_amount: int,
    expires_s: int,
    neg_risk: bool,
) -> OrderDraft:
    """Describe an order to the SDK without letting it fetch the market."""
    context = client._ctx
    return OrderDraft(
        chain_id=context.environment_config.chain_id,
        exchange_address=exchange_of(client, token_id, neg_risk),
        expiration=expires_s,
        funder_address=context.wallet,
        offered_amount=maker_amount,
        order_type=cast(Any, order_type),
        side=cast(Any, side),
        signer=cast(Any, context.signer.address),
        requested_amount=taker_amount,
        asset_id=cast(Any, token_id),
    )


def sign_draft(
    client: AsyncSecureClient, order: OrderDraft, post_only: bool
) -> tuple[str, SdkOrder]:
    """Sign an order for the client's wallet, locally; returns its id too."""
    context = client._ctx
    unsigned = create_unsigned_order(order, wallet=context.wallet, wallet_type=context.wallet_type)
    order_id, signature = seal(unsigned, bytes(context.signer.key))
    return order_id, create_signed_order(unsigned, HexString(signature), post_only=post_only)


def exchange_of(client: AsyncSecureClient, token_id: str, neg_risk: bool) -> Any:
    """Address of the exchange contract that settles a token."""
    return resolve_order_exchange_address(
        client._ctx.environment_config, asset_id=token_id, neg_risk=neg_risk
    )


def protocol_version(token_id: str) -> str:
    """Version of the EIP-712 domain an order of this token is signed for."""
    return "3" if is_v2_position_id(token_id) else "2"


def signature_type(client: AsyncSecureClient) -> int:
    return signature_type_for(client.wallet_type)


async def private_get(
    client: AsyncSecureClient, path: str, params: dict[str, Any] | None = None
) -> Any:
    """GET an authenticated path; the reply as decoded JSON, not squeezed into a model."""
    return await client._ctx.secure_clob.get_json(path, params=params)


async def private_poke(client: AsyncSecureClient, path: str, params: dict[str, Any]) -> None:
    """GET an authenticated path for its effect; the reply's body is ignored."""
    await client._ctx.secure_clob.get_bytes(path, params=params)


async def public_get(
    client: AsyncSecureClient, path: str, params: dict[str, Any] | None = None
) -> Any:
    """GET a public path of the CLOB."""
    return await client._ctx.clob.get_json(path, params=params)
