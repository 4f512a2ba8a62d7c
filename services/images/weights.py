"""Where the weights of each architecture come from: the ONNX model zoo, both trained on ImageNet."""

from __future__ import annotations

from rookery import Pretrained

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HUB = "https://huggingface.co/onnxmodelzoo"
ZOO = "https://github.com/onnx/models/raw/main/validated/vision/classification"

WEIGHTS = {
    "mobilenet_v2": Pretrained(
        url=f"{HUB}/mobilenetv2-12/resolve/main/mobilenetv2-12.onnx",
        mirrors=(f"{ZOO}/mobilenet/model",),
        sha256="c0c3f76d93fa3fd6580652a45618618a220fced18babf65774ed169de0432ad5",
        size_bytes=13_964_571,
        input="input",
        output="output",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="Apache-2.0",
        source=f"{HUB}/mobilenetv2-12",
    ),
    "resnet50": Pretrained(
        url=f"{HUB}/resnet50-v1-12/resolve/main/resnet50-v1-12.onnx",
        mirrors=(f"{ZOO}/resnet/model",),
        sha256="3f03fdef724b22947eed826f1eef1dc5c34151bb4c37d634f1db89dfa2dd1526",
        size_bytes=102_576_593,
        input="data",
        output="resnetv17_dense0_fwd",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="Apache-2.0",
        source=f"{HUB}/resnet50-v1-12",
    ),
}
