"""Searching over parameters: where to look, and which past to judge on. Pure."""
