"""`rookery`: the program. The command line itself is in `app.py`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main() -> None:
    """Run the command line.

    For `rookery serve` the first worker is launched before anything else is loaded: what it imports takes longer
    than all that this process does until it has orders for it, so that the two go on side by side.
    """
    launched = None
    if will_serve(sys.argv[1:]):
        from rookery.supervisor.launch import launch_worker

        launched = launch_worker()
    try:
        from rookery.cli.app import app

        app(obj=launched)
    finally:
        # Without orders if the command line, a setting or the services were wrong.
        if launched is not None and not launched.has_orders:
            launched.discard()


def will_serve(arguments: Sequence[str]) -> bool:
    """Tell whether a command line looks like one that serves; when in doubt it does not."""
    return arguments[:1] == ["serve"] and not {"-h", "--help"} & set(arguments)
