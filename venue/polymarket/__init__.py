"""Polymarket: orders over the official SDK, market data over our own WebSocket readers."""
