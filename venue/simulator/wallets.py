"""Which wallet an owner's key controls, by signature type.

The addresses are the deterministic ones the venue deploys (CREATE2); the official SDK derives
them the same way, and its derivation is used here.
"""

from functools import lru_cache

from polymarket._internal import wallet as _sdk
from polymarket._internal.environment import PRODUCTION_CONFIG

EOA, PROXY, SAFE, DEPOSIT = 0, 1, 2, 3
SIGNATURE_TYPES = (EOA, PROXY, SAFE, DEPOSIT)
BEACON = PRODUCTION_CONFIG.wallet_derivation.deposit_wallet_beacon


@lru_cache(maxsize=4096)
def wallets_of(owner: str, signature_type: int) -> tuple[str, ...]:
    """Wallets of `owner` (checksummed address), the one in use today first."""
    config = PRODUCTION_CONFIG.wallet_derivation
    if signature_type == EOA:
        return (owner,)
    if signature_type == PROXY:
        return (_sdk.derive_proxy_wallet_address(owner, config),)
    if signature_type == SAFE:
        return (_sdk.derive_safe_wallet_address(owner, config),)
    if signature_type == DEPOSIT:
        return (
            _sdk.derive_beacon_deposit_wallet_address(owner, config),
            _sdk.derive_uups_deposit_wallet_address(owner, config),
        )
    raise ValueError(f"signature type {signature_type} does not exist; use 0, 1, 2 or 3")
