"""Documents as programs: their fenced blocks, run in order in one folder.

- `bash` runs and must succeed; with `background` it keeps running until the document's end, and with `checkout` it
  runs in the repository.
- `python file=PATH` is written to that file; `python` without a file runs, by pytest if it holds tests.
- `json` after a `bash` block shows what that block prints: the same keys, and the same texts.
- `console` and `text` are for readers only.

Blocks with the word `weights` are left out unless the environment names real weights and photographs; these stand in
the folder then, and the services are the repository's.

The ports 8000 and 8001 of the text stand for free ports of the machine.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import find_free_port, is_setting

FENCE = re.compile(r"^```(?P<info>\S[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LENT = {
    "mobilenetv2-12.onnx": "ROOKERY_TEST_MOBILENET",
    "dog.jpg": "ROOKERY_TEST_PICTURES",
    "cat.jpg": "ROOKERY_TEST_PICTURES",
}
"""Files that documents use and no repository holds, and what names them or their folders."""
PATIENCE = 420.0
"""Seconds a background command may take to listen: `make up` trains every service first."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a document."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file that the block is to be written to."""
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), None)


def read_blocks(document: str) -> Iterator[Block]:
    """Yield a Markdown text's fenced blocks in order."""
    for match in FENCE.finditer(document):
        language, *words = match["info"].split()
        yield Block(language, tuple(words), match["text"], document.count("\n", 0, match.start()) + 1)


class Session:
    """Runs the blocks of one document in one folder; a context manager that ends what still runs."""

    def __init__(self, folder: Path, checkout: Path) -> None:
        self.folder = folder
        self.checkout = checkout
        self.ports = {8000: find_free_port(), 8001: find_free_port()}
        self.background: list[subprocess.Popen[bytes]] = []
        self.printed = ""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.background:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def run(self, block: Block) -> None:
        """Do what a block is for.

        Raises:
            AssertionError: it fails, or prints other than the document shows.
        """
        if "weights" in block.words and not self._lend():
            return
        if block.language == "bash" and "background" in block.words:
            self._start(block)
        elif block.language == "bash":
            self.printed = self._run(["bash", "-euo", "pipefail", "-c", self._localise(block.text)], block)
        elif block.language == "python" and block.file is not None:
            target = self.folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text)
        elif block.language == "python" and "def test_" in block.text:
            script = self.folder / f"test_line_{block.line}.py"
            script.write_text(block.text)
            self._run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(script)], block)
        elif block.language == "python":
            self._run([sys.executable, "-c", block.text], block)
        elif block.language == "json":
            assert_alike(json.loads(self.printed), json.loads(block.text), f"line {block.line}")
        else:
            assert block.language in ("console", "text"), (
                f"line {block.line}: nobody knows how to run {block.language!r}"
            )

    def _localise(self, text: str) -> str:
        for shown, real in self.ports.items():
            text = text.replace(str(shown), str(real))
        return text

    def _lend(self) -> bool:
        """Put real weights and photographs into the folder, if there are any here."""
        for name, setting in LENT.items():
            given = Path(os.environ.get(setting, ""))
            if not os.environ.get(setting):
                return False
            target = self.folder / name
            if not target.exists():
                target.symlink_to(given / name if given.is_dir() else given)
        return True

    def _environment(self, block: Block) -> dict[str, str]:
        """What a reader's shell has: no setting of ours, and nothing that measures coverage and doubles every time."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not is_setting(name) and not name.startswith("COVERAGE_")
        }
        tools = f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', '')}"
        return {
            **inherited,
            "PATH": tools,
            "PORT": str(self.ports[8000]),
            "ROOKERY_HOME": str(self.folder / ".rookery"),
            **({"ROOKERY_SERVICES_FOLDER": str(self.checkout / "services")} if "weights" in block.words else {}),
        }

    def _run(self, command: list[str], block: Block) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment(block), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"line {block.line} failed:\n{block.text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _start(self, block: Block) -> None:
        log = self.folder / f"background-{block.line}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", self._localise(block.text)],
                cwd=self.checkout if "checkout" in block.words else self.folder,
                env=self._environment(block),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.background.append(process)
        port = self.ports[8001 if "8001" in block.text else 8000]
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            if is_ready(port):
                return
            time.sleep(0.1)
        raise AssertionError(
            f"line {block.line} does not serve:\n{block.text}\n{log.read_text(errors='replace')[-4000:]}"
        )


def is_ready(port: int) -> bool:
    """Tell whether a server on `port` says that new requests are welcome."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def assert_alike(actual: Any, shown: Any, where: str) -> None:
    """Compare what was printed with what a document shows: keys and texts are equal, numbers may differ."""
    assert type(actual) is type(shown) or {type(actual), type(shown)} <= {int, float}, (
        f"{where}: {actual!r} for {shown!r}"
    )
    if isinstance(shown, dict):
        assert list(actual) == list(shown), f"{where}: the keys are {list(actual)}, shown are {list(shown)}"
        for key in shown:
            assert_alike(actual[key], shown[key], f"{where}, {key}")
    elif isinstance(shown, list):
        assert len(actual) == len(shown), f"{where}: {len(actual)} items for {len(shown)}"
        for index, (one, other) in enumerate(zip(actual, shown, strict=True)):
            assert_alike(one, other, f"{where}, {index}")
    elif isinstance(shown, str):
        assert actual == shown, f"{where}: {actual!r} for {shown!r}"
