"""Commands in processes forked from one that has imported PyTorch: each is as real as any, and begins 2 s sooner."""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Commands:
    """Runs commands one after another; `run` gives what `subprocess.run` would."""

    def __init__(self, server: subprocess.Popen) -> None:
        self.server = server

    def run(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `bilateral ...` in a folder."""
        streams = [folder / f".{name}" for name in ("stdout", "stderr")]
        self.server.stdin.write(json.dumps([str(folder), *map(str, streams), *arguments]) + "\n")
        self.server.stdin.flush()
        code = int(self.server.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, *(stream.read_text() for stream in streams))


@contextmanager
def commands() -> Iterator[Commands]:
    """Start the process from which they are forked."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        yield Commands(server)
        server.stdin.close()


def _serve() -> None:
    import torch  # noqa: F401

    from bilateral.cli.main import main

    for line in sys.stdin:
        folder, stdout, stderr, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.chdir(folder)
                for number, path in ((0, os.devnull), (1, stdout), (2, stderr)):
                    os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
                sys.argv = ["bilateral", *arguments]
                main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve()
