"""Discovery: services found in a folder and loaded from their files."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from rookery.errors import DefinitionError, RookeryError
from rookery.service.definition import Service

FILE_NAME = "service.py"


def find_services(folder: Path) -> dict[str, Path]:
    """Return the services of a folder by name, sorted: every `<folder>/<name>/service.py`.

    A folder that does not exist holds none. Names beginning with `.` or `_` are passed over.
    """
    if not folder.is_dir():
        return {}
    files = {path.name: path / FILE_NAME for path in sorted(folder.iterdir()) if path.name[0] not in "._"}
    return {name: file for name, file in files.items() if file.is_file()}


def load_service(folder: Path, name: str) -> Service:
    """Run `<folder>/<name>/service.py` and return its `service`.

    The file is run anew at each call, as a package of its own, so that `from .helpers import x` works beside it.

    Raises:
        DefinitionError: there is no such service, its file fails (the message says in which line), or it defines
            no `service` of the folder's name.
    """
    found = find_services(folder)
    if name not in found:
        raise _missing(folder, name, list(found))
    file = found[name]
    service = getattr(_run(file, name), "service", None)
    if not isinstance(service, Service):
        what = "no `service`" if service is None else f"a `service` that is a {type(service).__name__}"
        raise DefinitionError(f"{file} defines {what}", cure="End it with: service = Service(name=…, …)")
    if service.name != name:
        raise DefinitionError(
            f"{file} defines the service {service.name!r} in the folder {name!r}",
            cure=f"Rename the folder to {service.name!r}, or the service to {name!r}",
        )
    return service


def _missing(folder: Path, name: str, known: list[str]) -> DefinitionError:
    if not known:
        return DefinitionError(
            f"there is no service {name!r}: {folder} holds no services",
            cure=f"Write one with `rookery new {name}`, or name another folder with ROOKERY_SERVICES_FOLDER",
        )
    close = get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(known)}"
    return DefinitionError(f"there is no service {name!r} in {folder}", cure=hint)


def _run(file: Path, name: str) -> ModuleType:
    place = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]
    module_name = f"rookery_service_{name.replace('-', '_')}_{place}"
    spec = importlib.util.spec_from_file_location(module_name, file, submodule_search_locations=[str(file.parent)])
    if spec is None or spec.loader is None:
        raise DefinitionError(f"{file} cannot be read as Python", cure="Write the service as Python source")
    module = importlib.util.module_from_spec(spec)
    for stale in [known for known in sys.modules if known == module_name or known.startswith(f"{module_name}.")]:
        del sys.modules[stale]
    # Models look up their types, and processes their functions, by the module's name.
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(module_name, None)
        raise _explain(file, error) from error
    return module


def _explain(file: Path, error: BaseException) -> DefinitionError:
    """Return an error that names the line of the service's own file at which loading it failed."""
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{error.filename}:{error.lineno}"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame.lineno for frame in frames if Path(frame.filename).resolve().parent == file.resolve().parent]
        place = f"{file}:{own[-1]}" if own else str(file)
    if isinstance(error, RookeryError):
        return DefinitionError(f"{place}: {error.message}", cure=error.cure)
    reason = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
    return DefinitionError(f"{place} fails when it is loaded ({reason})", cure="Correct this line")
