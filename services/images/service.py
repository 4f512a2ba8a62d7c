"""Images: what a photograph shows, by MobileNetV2 or ResNet-50 trained on the 1,000 classes of ImageNet."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from rookery import Classification, Image, Limits, PicturePrediction, Service, imagenet_labels, imagenet_names

from .weights import WEIGHTS


class Request(BaseModel):
    """A photograph, and how many classes are wanted."""

    file: Annotated[bytes, Image(width=224, height=224, shorter_side=256)] = Field(description="JPEG, PNG or WebP")
    top_k: int = Field(5, ge=1, le=1000, description="How many of the most probable classes to answer")


class ClassScore(BaseModel):
    """One class and how probable it is."""

    class_: str = Field(alias="class", description="ImageNet's name, in lower case with underscores")
    confidence: float = Field(ge=0, le=1)
    class_id: int = Field(ge=0, le=999)


class Metadata(BaseModel):
    """What the answer is about, and what it took."""

    filename: str | None
    inference_time: float = Field(description="Seconds of decoding and running the model; 0 from the cache")
    model: str
    device: str
    image_size: tuple[int, int] = Field(description="Width and height, as a person sees the picture")


class Answer(BaseModel):
    """The most probable classes, the most probable first."""

    status: str
    predictions: list[ClassScore]
    metadata: Metadata
    warnings: list[str] | None = Field(None, description="What to doubt; absent when there is nothing")


def respond(prediction: PicturePrediction) -> dict[str, Any]:
    """Phrase the answer."""
    names, picture = imagenet_names(), prediction.picture
    return {
        "status": "success",
        "predictions": [
            {"class": names[class_id], "confidence": round(probability, 4), "class_id": class_id}
            for class_id, _, probability in prediction.top(prediction.parameters["top_k"])
        ],
        "metadata": {
            "filename": picture.filename,
            "inference_time": round(prediction.run_seconds, 4),
            "model": prediction.model_name,
            "device": prediction.device,
            "image_size": [picture.width, picture.height],
        },
    }


service = Service(
    name="images",
    title="ImageNet classification",
    description="Tells what a photograph shows: one of ImageNet's 1,000 classes.",
    input=Request, output=Answer, task=Classification(*imagenet_labels()), respond=respond,
    pretrained=WEIGHTS, model_name="{candidate}", invalid_status=400,
    limits=Limits(body_bytes=10_000_000, rows=32, deadline_seconds=30),
)  # fmt: skip
