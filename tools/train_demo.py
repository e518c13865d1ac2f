"""Train the demo network on Fashion-MNIST and write what `intsim demo` ships: a float ONNX model and images.

The network is a small residual CNN. Its batch normalisations stay nodes of their own in the ONNX file, so
that `intsim quantize` has something to fold. Input: x = (pixel - 128) / 128, that is the int8 code
pixel - 128 at the shared exponent -7.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 10
SIDE = 28
ZERO = 128  # the pixel value that becomes code 0
BATCH = 128
SHIFT = 2  # augmentation moves an image by up to that many pixels
TEST_IMAGES = 512
CALIBRATION_IMAGES = 256
OPSET = 17


class Basic(nn.Module):
    """Two 3x3 convolutions and the residual add; a 1x1 projection where the shape changes.

    f32[N, inputs, H, W] to f32[N, outputs, ceil(H / stride), ceil(W / stride)].
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.projection: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.projection_bn = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.projection is not None:
            x = self.projection_bn(self.projection(x))
        total: Tensor = self.relu2(y + x)
        return total


class Separable(nn.Module):
    """A 3x3 depthwise and a 1x1 convolution and the residual add: f32[N, channels, H, W] to itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.depthwise(x)))
        total: Tensor = self.relu2(self.bn2(self.pointwise(y)) + x)
        return total


class Network(nn.Sequential):
    """The demo network: f32[N, 1, 28, 28] to the logits f32[N, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(16)
        self.stem_relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.stage1 = Basic(16, 16)
        self.stage2 = Basic(16, 32)
        self.stage3 = Basic(32, 64, stride=2)
        self.stage4 = Separable(64)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(64, CLASSES)


@dataclass(frozen=True)
class Samples:
    """Images as pixels, u8[N, 1, 28, 28], and their labels, i64[N]."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """The array of one gzipped IDX file of unsigned bytes.

    Two zero bytes, the element type (8: unsigned byte), the rank, a big-endian u32 for each dimension, the
    data. Raises click.ClickException where the file is missing or not such a file. Source: the description of
    the format with the MNIST data, http://yann.lecun.com/exdb/mnist/.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise click.ClickException(
            f"{path} is missing: run `apt-get install dataset-fashion-mnist`, or name its folder with --data"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise click.ClickException(f"{path} cannot be read as gzip: {error}") from None
    rank = raw[3] if raw[:3] == b"\0\0\x08" and len(raw) > 3 else 0
    start = 4 + 4 * rank
    shape = [int.from_bytes(raw[at : at + 4], "big") for at in range(4, start, 4)]
    if rank == 0 or len(raw) != start + math.prod(shape):
        raise click.ClickException(f"{path} is not an IDX file of unsigned bytes")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def read_samples(folder: Path, part: str) -> Samples:
    """The images and labels of one part, "train" or "t10k", in file order."""
    pixels = read_idx(folder / f"{part}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte.gz")
    if pixels.shape != (len(labels), SIDE, SIDE):
        raise click.ClickException(
            f"{folder}: the {part} images must be {SIDE} x {SIDE} pixels, one a label, "
            f"not {pixels.shape} for the labels {labels.shape}"
        )
    return Samples(torch.tensor(pixels)[:, None], torch.tensor(labels, dtype=torch.int64))


def to_real(pixels: Tensor) -> Tensor:
    """x = (pixel - 128) / 128, exact in float32; channels last, in which these convolutions are fastest."""
    return ((pixels.float() - ZERO) / ZERO).contiguous(memory_format=torch.channels_last)


def augment(pixels: Tensor) -> Tensor:
    """Each image mirrored with probability 1/2 and moved by up to SHIFT pixels, background (0) moving in."""
    count = len(pixels)
    mirrored = torch.rand(count) < 0.5
    pixels = torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)
    padded = functional.pad(pixels, (SHIFT,) * 4)
    first = torch.randint(0, 2 * SHIFT + 1, (2, count, 1))
    rows, columns = first + torch.arange(SIDE)
    image = torch.arange(count)
    return padded[image[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None]


def train(network: Network, samples: Samples, epochs: int) -> None:
    """Train in place: SGD with Nesterov momentum, one cycle of the learning rate with cosine annealing."""
    network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    steps = -(-len(samples) // BATCH)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=epochs * steps, pct_start=0.15)
    for epoch in range(1, epochs + 1):
        total = 0.0
        order = torch.split(torch.randperm(len(samples)), BATCH)
        with click.progressbar(order, label=f"epoch {epoch}/{epochs}") as batches:
            for batch in batches:
                logits = network(to_real(augment(samples.pixels[batch])))
                loss = functional.cross_entropy(logits, samples.labels[batch])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                total += loss.item() * len(batch)
        click.echo(f"epoch {epoch}/{epochs}: training loss {total / len(samples):.4f}")


def predict(network: Network, pixels: Tensor) -> npt.NDArray[np.float32]:
    """The logits of the network in evaluation mode, f32[N, 10]."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(to_real(part)) for part in torch.split(pixels, 500)]).numpy()


def predict_onnx(path: Path, pixels: Tensor) -> npt.NDArray[np.float32]:
    """The logits of the ONNX file in ONNX Runtime, f32[N, 10]."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    parts = [session.run(["logits"], {"image": to_real(part).numpy()})[0] for part in torch.split(pixels, 500)]
    return np.concatenate(parts)


def top1(logits: npt.NDArray[np.float32], labels: Tensor) -> float:
    """The share of rows whose largest logit is the label's, in percent."""
    return 100.0 * float(np.mean(logits.argmax(axis=1) == labels.numpy()))


def export(network: Network, path: Path) -> None:
    """Write one self-contained ONNX file: dynamic batch, batch normalisations kept, no trace of this machine.

    The TorchScript exporter is used because it keeps batch normalisation and the module names as they are.
    """
    network.eval()
    torch.onnx.export(
        network,
        (torch.zeros(1, 1, SIDE, SIDE),),
        path,
        dynamo=False,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        opset_version=OPSET,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
    )
    model = onnx.load(path)
    drop_identities(model.graph)
    rename(model.graph, network)
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def drop_identities(graph: onnx.GraphProto) -> None:
    """Let the consumers of each Identity read its input.

    The exporter stores equal parameters once, with an Identity for each copy. Two batch normalisations that a
    residual add sums have equal biases: both start at zero and get the same gradients.
    """
    source = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    kept = [node for node in graph.node if node.op_type != "Identity"]
    for node in kept:
        for index, value in enumerate(node.input):
            node.input[index] = source.get(value, value)
    del graph.node[:]
    graph.node.extend(kept)


def rename(graph: onnx.GraphProto, network: Network) -> None:
    """Name each node and its output after its module: `/stage1/conv1/Conv` becomes `stage1.conv1`.

    An op that no leaf module owns keeps its type at the end: `stage1.add`.
    """
    leaves = {name for name, module in network.named_modules() if not list(module.children())}
    outputs = {value.name for value in graph.output}
    renamed: dict[str, str] = {}
    for node in graph.node:
        *modules, kind = node.name.strip("/").split("/")
        name = ".".join(modules)
        node.name = name if name in leaves else ".".join([*modules, kind.lower()])
        for index, value in enumerate(node.input):
            node.input[index] = renamed.get(value, value)
        (value,) = node.output
        if value not in outputs:
            renamed[value] = node.name
            node.output[0] = node.name
    graph.ClearField("value_info")  # it speaks of the old names, and every shape can be inferred


def strip(model: onnx.ModelProto) -> None:
    """Remove the texts and properties in which exporters leave source lines and file names."""
    model.ClearField("doc_string")
    model.ClearField("metadata_props")
    model.graph.ClearField("doc_string")
    for entry in [*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output]:
        entry.ClearField("doc_string")
        entry.ClearField("metadata_props")


def write_images(path: Path, test: Samples, training: Samples) -> None:
    """Write `x` i8[512, 1, 28, 28], codes pixel - 128, `y` i64[512], and `calibration`, reals f16[256, 1, 28, 28]."""
    np.savez_compressed(
        path,
        x=codes(test.pixels[:TEST_IMAGES]),
        y=test.labels[:TEST_IMAGES].numpy(),
        # What the float network reads; exact in float16.
        calibration=codes(training.pixels[:CALIBRATION_IMAGES]).astype(np.float16) / ZERO,
    )


def codes(pixels: Tensor) -> npt.NDArray[np.int8]:
    """The int8 codes pixel - 128."""
    return (pixels.numpy().astype(np.int16) - ZERO).astype(np.int8)


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("/usr/share/datasets/fashion-mnist"),
    show_default=True,
    help="Folder of the four IDX files (Debian package dataset-fashion-mnist).",
)
@click.option("--epochs", type=click.IntRange(min=1), default=24, show_default=True, help="About 20 s each.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("intsim/demo"),
    show_default=True,
    help="Folder for float.onnx and images.npz.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of weights, order, augmentation.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Threads of PyTorch; another number may change the last bits of the weights.",
)
def main(data: Path, epochs: int, output: Path, seed: int, threads: int) -> None:
    """Train the demo network on Fashion-MNIST; write float.onnx and images.npz, print the test accuracy."""
    training, test = read_samples(data, "train"), read_samples(data, "t10k")
    output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)

    network = Network()
    train(network, training, epochs)
    export(network, output / "float.onnx")
    write_images(output / "images.npz", test, training)

    first = slice(TEST_IMAGES)
    ours, theirs = predict(network, test.pixels), predict_onnx(output / "float.onnx", test.pixels)
    for name, logits in (("PyTorch", ours), ("ONNX Runtime", theirs)):
        click.echo(
            f"{name}: test accuracy {top1(logits, test.labels):.2f}% of {len(test)} images, "
            f"{top1(logits[first], test.labels[first]):.2f}% of the first {TEST_IMAGES}"
        )
    click.echo(f"largest difference of a logit: {np.abs(ours - theirs).max():.2g}")


if __name__ == "__main__":
    main()
