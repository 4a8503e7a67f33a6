"""Independent random streams: each derives from what it is for, never from how far another one got."""

import hashlib


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Give the seed (0 to 2**63 - 1) of the stream for `purpose`, such as ("dropout", epoch, step)."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
