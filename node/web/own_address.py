"""Where this node's own HTTP server is reached from this machine."""

from __future__ import annotations

import ipaddress


def own_address(host: str) -> str:
    """A name or an address that can be called, for `http_host`: one that means every interface cannot."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"
