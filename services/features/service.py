"""Features: the SIFT keypoints of a picture, computed by OpenCV; there is no trained model."""

import base64
from typing import Annotated, Any

from pydantic import BaseModel, Field

from rookery import Cache, Image, Limits, PicturePrediction, Service


class Request(BaseModel):
    """A picture, and how SIFT (Lowe 2004) looks at it; the defaults are OpenCV's."""

    image: Annotated[
        bytes, Image(mode="L", formats=("JPEG", "PNG", "WEBP", "TIFF"), max_pixels=25_000_000, strict_names=True)
    ] = Field(description="JPEG, PNG, WebP or TIFF; name and content are both looked at")
    max_keypoints: int = Field(0, ge=0, le=100_000, description="The strongest so many; 0: all")
    descriptors: bool = Field(False, description="Whether to answer the descriptors, too")
    octave_layers: int = Field(3, ge=1, le=10, description="Layers of each octave of scales")
    contrast_threshold: float = Field(0.04, ge=0, le=1, description="Weaker keypoints are left out")
    edge_threshold: float = Field(10, gt=0, le=1000, description="Keypoints more like edges are left out")
    sigma: float = Field(1.6, ge=0.5, le=5, description="Blur of the first octave, in pixels")


class Answer(BaseModel):
    """The keypoints of a picture."""

    num_keypoints: int
    keypoints: list[dict[str, float]] = Field(description="x, y, size, angle, response and OpenCV's packed octave")
    descriptors: str | None = Field(description="Base64 of uint8 [num_keypoints, 128] by rows; null if not asked for")
    image: dict[str, int | str] = Field(description="width, height and format")
    processing_time_ms: float
    cached: bool


def detect(picture: Any, parameters: Any) -> dict[str, Any]:
    """Return the keypoints of a picture, uint8 [height, width, 1], and their descriptors if these are wanted."""
    import cv2

    cv2.setNumThreads(1)  # pictures are computed side by side, each in a thread of its own
    sift = cv2.SIFT.create(
        nfeatures=parameters["max_keypoints"],
        nOctaveLayers=parameters["octave_layers"],
        contrastThreshold=parameters["contrast_threshold"],
        edgeThreshold=parameters["edge_threshold"],
        sigma=parameters["sigma"],
        descriptorType=cv2.CV_8U,
    )
    grey, text = picture[..., 0], None
    if parameters["descriptors"]:
        points, found = sift.detectAndCompute(grey, None)
        text = base64.b64encode(b"" if found is None else found.tobytes()).decode()
    else:
        points = sift.detect(grey, None)
    keypoints = [
        {"x": p.pt[0], "y": p.pt[1], "size": p.size, "angle": p.angle, "response": p.response, "octave": p.octave}
        for p in points
    ]
    return {"num_keypoints": len(keypoints), "keypoints": keypoints, "descriptors": text}


def respond(prediction: PicturePrediction) -> dict[str, Any]:
    """Phrase the answer around what was detected."""
    picture = prediction.picture
    return {
        **prediction.result,
        "image": {"width": picture.width, "height": picture.height, "format": picture.format},
        "processing_time_ms": prediction.latency_ms,
        "cached": prediction.cached,
    }


service = Service(
    name="features",
    title="SIFT features",
    description="Finds the SIFT keypoints of a picture, and describes them on request.",
    input=Request, output=Answer, respond=respond, function=detect, libraries=("opencv-python-headless",),
    paths=("/api/v1/features/detect", "/predict"), cache=Cache(enabled=True, ttl_seconds=3600),
    limits=Limits(body_bytes=20_000_000, rows=16, deadline_seconds=30),
)  # fmt: skip
