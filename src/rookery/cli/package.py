"""`rookery package`: a model that exists already becomes a package, without training."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rookery.cli.output import JsonOption, print_json
from rookery.errors import DefinitionError, PackageError
from rookery.settings import load_settings

if TYPE_CHECKING:
    from pydantic import BaseModel

    from rookery.fields.schema import InputSchema
    from rookery.service.task import Task


def package(
    origin: Annotated[
        str,
        typer.Option("--from", help="module:object, a .joblib or .pkl file (with --trust), or an .onnx file."),
    ],
    input_model: Annotated[str, typer.Option("--input", help="module:Model, a pydantic model; its fields in order.")],
    name: Annotated[str, typer.Option("--name", help="The service's name.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write; it must not exist.")],
    labels: Annotated[
        str | None,
        typer.Option("--labels", help="Comma-separated, in the model's order; left out: its own, or a regression."),
    ] = None,
    unit: Annotated[str | None, typer.Option("--unit", help="A regression's unit.")] = None,
    sample: Annotated[
        Path | None, typer.Option("--sample", help="CSV, JSON or Parquet rows to prove the export on and profile.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Open a joblib or pickle file: it may run any code of its maker's.")
    ] = False,
    output: Annotated[str | None, typer.Option("--output", help="An .onnx file's output, if it has several.")] = None,
    activation: Annotated[
        str | None, typer.Option("--activation", help="softmax or sigmoid, if an .onnx file answers logits.")
    ] = None,
    title: Annotated[str, typer.Option("--title", help="What people call the service.")] = "",
    description: Annotated[str, typer.Option("--description", help="One sentence for documentation and card.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a package of a fitted estimator or an ONNX file and a pydantic model, to serve with `serve --package`."""
    if activation not in (None, "softmax", "sigmoid"):
        raise typer.BadParameter("softmax or sigmoid", param_hint="--activation")
    load_settings()
    from rookery.export.existing import package_model
    from rookery.fields.schema import read_input_model
    from rookery.package.opener import open_package

    model_class = _load_input(input_model)
    model = _load_model(origin, trust=trust)
    folder = package_model(
        model,
        name=name,
        input=model_class,
        task=_task(model, labels, unit),
        destination=out,
        sample=None if sample is None else _read_sample(sample, read_input_model(model_class)),
        title=title,
        description=description,
        output=output,
        activation=activation,  # type: ignore[arg-type] # checked above
    )
    opened = open_package(folder)
    if as_json:
        print_json({"package": str(folder), "manifest": opened.manifest.model_dump(mode="json")})
        return
    print(f"{folder}: {name}, {opened.manifest.model_name}, {len(opened.golden)} golden cases, proven and verified")
    print(f"Serve it with `rookery serve --package {folder}`")


def _load_object(text: str, what: str) -> Any:
    """Return `module:object`, looking for the module in the working directory, too."""
    module_name, _, attribute = text.partition(":")
    if not module_name or not attribute:
        raise DefinitionError(f"{text!r} is no {what}", cure="Write module:object, for example wines:model")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # the module is the user's own code, which may raise anything
        raise DefinitionError(f"{text} cannot be loaded: {type(error).__name__}: {error}") from error
    return found


def _load_input(text: str) -> type[BaseModel]:
    from pydantic import BaseModel

    found = _load_object(text, "pydantic model")
    if not isinstance(found, type) or not issubclass(found, BaseModel):
        raise DefinitionError(f"{text} is no pydantic model", cure="Name a class that is derived from BaseModel")
    return found


def _load_model(origin: str, *, trust: bool) -> Any:
    from rookery.export.existing import load_fitted

    path = Path(origin)
    if path.suffix == ".onnx":
        try:
            return path.read_bytes()
        except OSError as error:
            raise PackageError(f"{path} cannot be read: {error.strerror}") from error
    if path.suffix in (".joblib", ".pkl", ".pickle"):
        return load_fitted(path, trust=trust)
    return _load_object(origin, "fitted model, .joblib or .onnx file")


def _task(model: Any, labels: str | None, unit: str | None) -> Task:
    """Return the task: a classification by the labels given, or by the model's own classes; else a regression."""
    from rookery.service.task import Classification, Regression

    if labels is not None:
        return Classification(*(label.strip() for label in labels.split(",")))
    classes = getattr(model, "classes_", None)
    if classes is not None:
        return Classification(*(str(label) for label in classes))
    return Regression(unit)


def _read_sample(path: Path, schema: InputSchema) -> dict[str, list[Any]]:
    from rookery.cli.tabular import columns_of, read_bytes, read_rows

    rows, _ = read_rows(read_bytes(str(path)), schema, name=str(path))
    return columns_of(rows, schema, name=str(path))
