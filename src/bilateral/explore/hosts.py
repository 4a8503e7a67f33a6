"""By which names a server is asked, and whom a name reaches."""

import ipaddress
import socket
from urllib.parse import urlsplit

ALL_ADDRESSES = ("", "0.0.0.0", "::")


def is_own_name(host_header: str, bound: str) -> bool:
    """Whether a request whose Host header this is means the server bound to the host `bound`.

    A foreign site whose name was made to point at the server (DNS rebinding) asks for it under its own name.
    """
    try:
        name = urlsplit(f"//{host_header}").hostname or ""
    except ValueError:
        return False
    if is_loopback(name) or name == bound.lower():
        return bool(name)
    # Who listens at all addresses is asked by any of them, or by the machine's name.
    return bound in ALL_ADDRESSES and (_is_address(name) or name == socket.gethostname().lower())


def is_loopback(host: str) -> bool:
    """Whether a host's name or address reaches this machine alone."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
