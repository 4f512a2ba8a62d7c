"""Registers a package a few times in a home's embedded registry and prints the numbers; run as a script of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rookery.registry.connect import connect
from rookery.settings import Settings

if __name__ == "__main__":
    registry = connect(Settings(home=Path(sys.argv[1])))
    print(json.dumps([registry.register(Path(sys.argv[2])).version for _ in range(int(sys.argv[3]))]))
