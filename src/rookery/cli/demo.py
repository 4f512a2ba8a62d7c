"""`rookery demo`: a running picture service, shown: keypoints drawn, classes as bars, timings."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated, Any

import typer

from rookery.cli.demo_client import Answer, DemoClient
from rookery.cli.output import JsonOption, console_on_stdout, print_json
from rookery.errors import DefinitionError

GENERATED = 2
"""Pictures that are made up when none is given."""
SERVICES = ("features", "images")
SHOWN_CLASSES = 5
MOST_RUNS = 10_000


@dataclass(slots=True)
class Shown:
    """One picture, and every answer to it."""

    name: str
    data: bytes
    answers: list[Answer] = field(default_factory=list)
    drawing: Path | None = None
    """Where a copy with its keypoints was saved."""

    def timings(self) -> dict[str, float]:
        """Return milliseconds of the first run, the median and the 95th percentile, and the rate."""
        seconds = [answer.seconds for answer in self.answers]
        late = quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]
        values = {"first_ms": seconds[0] * 1e3, "median_ms": median(seconds) * 1e3, "p95_ms": late * 1e3}
        return {name: round(value, 2) for name, value in values.items()} | {
            "requests_per_second": round(len(seconds) / sum(seconds), 1)
        }


def demo(
    service: Annotated[str, typer.Argument(help="features or images.", metavar="features|images")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="Pictures; left out: made-up ones.", metavar="[FILE]...")
    ] = None,
    runs: Annotated[int, typer.Option("--runs", help="How often each picture is sent.", min=1, max=MOST_RUNS)] = 3,
    url: Annotated[str, typer.Option("--url", help="Where the server is.")] = "http://127.0.0.1:8000",
    out: Annotated[Path, typer.Option("--out", help="Folder for the drawings of keypoints.")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Send pictures to a running service and show what it answers, and how fast."""
    if service not in SERVICES:
        raise DefinitionError(f"there is no demo of {service!r}", cure=f"Choose from {', '.join(SERVICES)}")
    pictures = _read_pictures(files or [])
    client = DemoClient(url, service)
    try:
        for picture in pictures:
            for _ in range(runs):
                picture.answers.append(client.ask(picture.data, _parameters(service)))
    finally:
        client.close()
    if service == "features":
        for picture in pictures:
            picture.drawing = draw_keypoints(picture, out)
    if as_json:
        print_json([_to_json(picture) for picture in pictures])
        return
    for picture in pictures:
        _show(service, picture)


def _parameters(service: str) -> dict[str, object]:
    return {"top_k": SHOWN_CLASSES} if service == "images" else {}


def _read_pictures(files: Sequence[Path]) -> list[Shown]:
    """Return the files, or generated pictures.

    Raises:
        DefinitionError: a file cannot be read.
    """
    try:
        given = [Shown(path.name, path.read_bytes()) for path in files]
    except OSError as error:
        raise DefinitionError(f"{error.filename} cannot be read: {error.strerror}") from error
    return given or [Shown(f"generated-{number}.png", _generate(number)) for number in range(GENERATED)]


def _generate(number: int) -> bytes:
    from PIL import Image

    from rookery.fields.pictures.generated import generate_picture

    stream = io.BytesIO()
    Image.fromarray(generate_picture(number, width=480, height=320)).save(stream, "PNG")
    return stream.getvalue()


def draw_keypoints(picture: Shown, folder: Path) -> Path:
    """Save a copy of a picture with its keypoints, a circle of each one's size and a line in its direction.

    Returns the path: `<name>-keypoints.png` in `folder`, which is made if it is not there.
    """
    import math

    from PIL import Image, ImageDraw, ImageOps

    with Image.open(io.BytesIO(picture.data)) as opened:
        copy = ImageOps.exif_transpose(opened).convert("RGB")
    pen = ImageDraw.Draw(copy)
    for point in picture.answers[0].values["keypoints"]:
        x, y, radius, angle = point["x"], point["y"], point["size"] / 2, math.radians(point["angle"])
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=(255, 210, 0))
        pen.line((x, y, x + radius * math.cos(angle), y + radius * math.sin(angle)), fill=(255, 60, 60))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{Path(picture.name).stem}-keypoints.png"
    copy.save(path)
    return path


def _to_json(picture: Shown) -> dict[str, Any]:
    answer = picture.answers[0].values
    told: dict[str, Any] = {"file": picture.name, "runs": len(picture.answers), **picture.timings()}
    told["cache"] = [each.cache for each in picture.answers]
    if "num_keypoints" in answer:
        told |= {"num_keypoints": answer["num_keypoints"], "drawing": str(picture.drawing)}
    else:
        told["predictions"] = answer["predictions"]
    return told


def _show(service: str, picture: Shown) -> None:
    """Print one picture's answer and its timings."""
    from rich.table import Table

    console = console_on_stdout()
    answer = picture.answers[0].values
    if service == "images":
        table = Table(title=picture.name, title_justify="left", show_header=False, box=None)
        for row in answer["predictions"]:
            table.add_row(row["class"], f"{row['confidence']:.1%}", "█" * max(1, round(30 * row["confidence"])))
        console.print(table)
    else:
        size = answer["image"]
        console.print(
            f"{picture.name}: {answer['num_keypoints']} keypoints in {size['width']} x {size['height']} pixels, "
            f"drawn in {picture.drawing}",
            soft_wrap=True,
        )
    timings = picture.timings()
    caches = [each.cache for each in picture.answers if each.cache]
    cached = f", cache: {', '.join(caches[:5])}{' …' if len(caches) > 5 else ''}" if caches else ""
    console.print(
        f"  {len(picture.answers)} runs: first {timings['first_ms']:.1f} ms, median {timings['median_ms']:.1f} ms, "
        f"p95 {timings['p95_ms']:.1f} ms, {timings['requests_per_second']:.0f} a second{cached}",
        soft_wrap=True,
    )
