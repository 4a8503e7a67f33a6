"""What stands where a plain file should, and would never end or never begin."""

import os
import socket
from pathlib import Path

STRANGE = ["pipe", "link to a pipe", "socket", "link to a device"]


def make_strange(path: Path, kind: str) -> Path:
    """Make one of STRANGE at a path."""
    beside = path.with_name(f".{path.name}.pipe")
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "link to a pipe":
            os.mkfifo(beside)
            path.symlink_to(beside)
        case "socket":
            here = Path.cwd()
            os.chdir(path.parent)  # a socket's path is short
            try:
                with socket.socket(socket.AF_UNIX) as place:
                    place.bind(path.name)
            finally:
                os.chdir(here)
        case "link to a device":
            path.symlink_to("/dev/zero")
    return path
