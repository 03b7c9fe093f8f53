"""Vision: classifiers, MobileCLIP, detectors, Depth Anything, SAM 2.1, Real-ESRGAN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ondevice_sora.runtime.coreml.quiet import quietly
from worlds.public.conversion import converted, integers
from worlds.public.layers import Attention, Block, ConvNorm

LABELS = [f"class {number}" for number in range(10)]
IMAGE = torch.rand(1, 3, 32, 32)


class InvertedResidual(nn.Module):
    """Of MobileNetV2: out to six times the channels, a convolution a channel, and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 6 * channels
        self.layers = nn.Sequential(
            ConvNorm(channels, wide, 1, activation=nn.ReLU6()),
            ConvNorm(wide, wide, 3, groups=wide, activation=nn.ReLU6()),
            ConvNorm(wide, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class MobileNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into, self.block = ConvNorm(3, 8, 3, 2, activation=nn.ReLU6()), InvertedResidual(8)
        self.last, self.head = ConvNorm(8, 32, 1, activation=nn.ReLU6()), nn.Linear(32, len(LABELS))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.block(self.into(x))).mean(dim=(2, 3)))


def mobilenet_v2(folder: Path) -> dict[str, int]:
    """As coremltools' first tutorial converts torchvision's: an image in, a label out, for iOS 15."""
    path = folder / "MobileNetV2.mlpackage"
    return {path.stem: converted(MobileNet(), {"image": IMAGE}, path, target="iOS15", images=["image"], labels=LABELS)}


class Bottleneck(nn.Module):
    """Of ResNet-50: a convolution of three taps a side between two of one, and the input besides."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.first, self.middle = (
            ConvNorm(inputs, width, 1, activation=nn.ReLU()),
            ConvNorm(width, width, 3, stride, activation=nn.ReLU()),
        )
        self.last, self.skip = ConvNorm(width, 4 * width, 1), ConvNorm(inputs, 4 * width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.last(self.middle(self.first(x))) + self.skip(x))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into, self.pool = ConvNorm(3, 16, 7, 2, activation=nn.ReLU()), nn.MaxPool2d(3, 2, 1)
        self.block, self.head = Bottleneck(16, 16, 2), nn.Linear(64, len(LABELS))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.pool(self.into(x))).mean(dim=(2, 3)))


def resnet_int8(folder: Path) -> dict[str, int]:
    """Weights of 8 bits, a scale a channel, for iOS 16."""
    path = folder / "Resnet50Int8.mlpackage"
    return {
        path.stem: converted(
            ResNet(), {"image": IMAGE}, path, images=["image"], labels=LABELS, compressed=integers("int8")
        )
    }


def resnet_w8a8(folder: Path) -> dict[str, int]:
    """Activations of 8 bits too: each tensor goes through `quantize` and `dequantize` before its convolution."""
    random = np.random.default_rng(0)
    weights = [random.integers(-127, 127, shape, np.int8) for shape in ((16, 3, 3, 3), (16, 16, 3, 3))]
    with quietly() as ct:
        from coremltools.converters.mil import Builder
        from coremltools.converters.mil.mil import types

        @Builder.program(input_specs=[Builder.TensorSpec((1, 3, 32, 32), types.fp16)], opset_version=ct.target.iOS17)
        def program(image: Any) -> Any:
            x = image
            for number, weight in enumerate(weights):
                scales = np.linspace(0.01, 0.02, 16, dtype=np.float16).reshape(16, 1, 1, 1)
                taps = Builder.constexpr_affine_dequantize(
                    quantized_data=weight,
                    scale=scales.reshape(16),
                    zero_point=np.int8(0),
                    axis=0,
                    name=f"taps_{number}",
                )
                x = Builder.quantize(input=x, scale=np.float16(0.02), zero_point=np.int8(0), output_dtype="int8")
                x = Builder.dequantize(input=x, scale=np.float16(0.02), zero_point=np.int8(0))
                x = Builder.relu(x=Builder.conv(x=x, weight=taps, pad_type="same"))
            return x

        model = ct.convert(
            program, convert_to="mlprogram", minimum_deployment_target=ct.target.iOS17, skip_model_load=True
        )
        model.save(str(folder / "Resnet50W8A8.mlpackage"))
    return {}


class Mixer(nn.Module):
    """Of FastViT: tokens mixed by a convolution a channel, then channels by two of one tap; scaled, and added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix, self.scale = (
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.Parameter(torch.ones(width, 1, 1)),
        )
        self.conv = ConvNorm(width, width, 7, groups=width)
        self.up, self.down = nn.Conv2d(width, 3 * width, 1), nn.Conv2d(3 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mix(x)
        return x + self.scale * self.down(functional.gelu(self.up(self.conv(x))))


class FastVit(nn.Module):
    """A stem, mixers, attention over the last map, and a head; a vector for MobileCLIP."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvNorm(3, 16, 3, 2, activation=nn.GELU()), ConvNorm(16, 16, 3, 2, 16, nn.GELU()))
        self.mixer, self.norm, self.attention = Mixer(16), nn.LayerNorm(16), Attention(16, 2)
        self.head = nn.Linear(16, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mixer(self.stem(x)).flatten(2).transpose(1, 2)
        return self.head((x + self.attention(self.norm(x))).mean(dim=1))


def fastvit(folder: Path) -> dict[str, int]:
    path = folder / "FastViTT8F16.mlpackage"
    return {path.stem: converted(FastVit(10), {"image": IMAGE}, path, images=["image"], labels=LABELS)}


class ClipTextProjected(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(60, 16), nn.Parameter(torch.zeros(1, 77, 16))
        self.layer, self.norm = Block(16, 2, 64), nn.LayerNorm(16)
        self.projection = nn.Parameter(torch.zeros(16, 12))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.norm(self.layer(self.tokens(ids) + self.positions))
        return functional.normalize(x[:, -1] @ self.projection, dim=-1)


def mobileclip(folder: Path) -> dict[str, int]:
    image, text = folder / "mobileclip_s0_image.mlpackage", folder / "mobileclip_s0_text.mlpackage"
    ids = torch.zeros(1, 77, dtype=torch.long)
    return {
        image.stem: converted(FastVit(12), {"image": IMAGE}, image, images=["image"], outputs=["final_emb_1"]),
        text.stem: converted(ClipTextProjected(), {"text": ids}, text, outputs=["final_emb_1"]),
    }


class Detr(nn.Module):
    """A backbone, an encoder over its map, a decoder of queries, and where each is and what."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.block, self.project = (
            ConvNorm(3, 16, 7, 4, activation=nn.ReLU()),
            Bottleneck(16, 8, 2),
            nn.Conv2d(32, 16, 1),
        )
        self.encoder, self.decoder = Block(16, 2, 32), Block(16, 2, 32, context=16)
        self.positions, self.queries = nn.Parameter(torch.zeros(1, 16, 16)), nn.Parameter(torch.zeros(1, 10, 16))
        self.classes, self.boxes = (
            nn.Linear(16, 12),
            nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4), nn.Sigmoid()),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        memory = self.encoder(self.project(self.block(self.into(x))).flatten(2).transpose(1, 2) + self.positions)
        found = self.decoder(self.queries + 0 * memory[:, :1], memory)
        return self.classes(found), self.boxes(found)


def detr(folder: Path) -> dict[str, int]:
    path = folder / "DETRResnet50F16.mlpackage"
    return {path.stem: converted(Detr(), {"image": IMAGE}, path, target="iOS17", images=["image"])}


class Yolo(nn.Module):
    """A small YOLO: convolutions with SiLU, a split and concatenation, pooling, and boxes with confidences."""

    def __init__(self) -> None:
        super().__init__()
        silu = nn.SiLU()
        self.into, self.down = ConvNorm(3, 8, 3, 2, activation=silu), ConvNorm(8, 16, 3, 2, activation=silu)
        self.inner, self.fuse = ConvNorm(8, 8, 3, activation=silu), ConvNorm(24, 16, 1, activation=silu)
        self.pool, self.boxes, self.classes = nn.MaxPool2d(5, 1, 2), nn.Conv2d(32, 4, 1), nn.Conv2d(32, 10, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.down(self.into(x))
        first, second = x.chunk(2, dim=1)
        x = self.fuse(torch.cat([first, second, self.inner(second)], dim=1))
        x = torch.cat([x, self.pool(x)], dim=1)
        return self.classes(x).sigmoid().flatten(2)[0].T, self.boxes(x).flatten(2)[0].T


def yolo(folder: Path) -> dict[str, int]:
    """As Ultralytics exports with nms=True: a pipeline of the network and of Core ML's own suppression of boxes."""
    path = folder.parent / "parts/yolo.mlpackage"
    flops = converted(Yolo(), {"image": IMAGE}, path, images=["image"], outputs=["confidence", "coordinates"])
    with quietly() as ct:
        network = ct.models.MLModel(str(path), skip_model_load=True)
        nms = ct.proto.Model_pb2.Model()
        nms.specificationVersion = 7
        for name, width in (("confidence", 10), ("coordinates", 4)):
            for feature in (nms.description.input.add(), nms.description.output.add()):
                feature.name = f"raw_{name}" if feature is nms.description.input[-1] else name
                feature.type.multiArrayType.dataType = ct.proto.FeatureTypes_pb2.ArrayFeatureType.DOUBLE
                feature.type.multiArrayType.shape.extend([64, width])
        nms.nonMaximumSuppression.confidenceInputFeatureName = "raw_confidence"
        nms.nonMaximumSuppression.coordinatesInputFeatureName = "raw_coordinates"
        nms.nonMaximumSuppression.stringClassLabels.vector.extend(LABELS)
        pipeline = ct.proto.Model_pb2.Model()
        pipeline.specificationVersion = 7
        pipeline.description.input.extend(network.get_spec().description.input)
        pipeline.description.output.extend(nms.description.output)
        pipeline.pipeline.models.extend([network.get_spec(), nms])
        ct.models.utils.save_spec(pipeline, str(folder / "yolov8n.mlpackage"), weights_dir=network.weights_dir)
    return {"yolov8n_stage0": flops}


class DepthAnything(nn.Module):
    """A vision transformer with scaled branches, and a decoder of maps at several sizes that are fused upwards."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.token = nn.Conv2d(3, 16, 4, 4), nn.Parameter(torch.zeros(1, 1, 16))
        self.positions, self.norm = nn.Parameter(torch.zeros(1, 65, 16)), nn.LayerNorm(16)
        self.attention, self.scale = Attention(16, 2), nn.Parameter(torch.ones(16))
        self.widen, self.narrow = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(16, 8, 3, padding=1)
        self.fuse, self.out = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.cat([self.token, self.patches(image).flatten(2).transpose(1, 2)], dim=1) + self.positions
        x = x + self.scale * self.attention(self.norm(x))
        grid = x[:, 1:].transpose(1, 2).unflatten(2, (8, 8))
        fused = functional.interpolate(self.narrow(grid), size=(16, 16), mode="bilinear", align_corners=True)
        fused = self.fuse(functional.relu(fused + self.widen(grid)))
        fused = functional.interpolate(fused, size=(32, 32), mode="bilinear", align_corners=True)
        return functional.relu(self.out(fused))


def depth_anything(folder: Path) -> dict[str, int]:
    path = folder / "DepthAnythingV2SmallF16.mlpackage"
    return {path.stem: converted(DepthAnything(), {"image": IMAGE}, path, images=["image"], outputs=["depth"])}


class Hiera(nn.Module):
    """SAM 2.1's image encoder: attention within windows, queries pooled at a change of width, maps of two sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.block, self.norm = nn.Conv2d(3, 16, 7, 4, 3), Block(16, 2, 32), nn.LayerNorm(16)
        self.widen, self.neck = nn.Linear(16, 24), nn.Conv2d(24, 16, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.patches(image).permute(0, 2, 3, 1)
        windows = x.reshape(2, 4, 2, 4, 16).permute(0, 2, 1, 3, 4).reshape(4, 16, 16)
        windows = self.block(windows).reshape(2, 2, 4, 4, 16).permute(0, 2, 1, 3, 4).reshape(1, 8, 8, 16)
        high = windows.permute(0, 3, 1, 2)
        low = functional.max_pool2d(self.widen(self.norm(windows)).permute(0, 3, 1, 2), 2)
        return self.neck(low), high


class PromptEncoder(nn.Module):
    """points [1, 2, 2] and labels [1, 2] -> embeddings of both, by a random matrix of frequencies."""

    def __init__(self) -> None:
        super().__init__()
        self.frequencies, self.kinds = nn.Parameter(torch.zeros(2, 8)), nn.Embedding(4, 16)

    def forward(self, points: Tensor, labels: Tensor) -> Tensor:
        angles = (2 * points / 32 - 1) @ self.frequencies * 6.2831855
        return torch.cat([angles.sin(), angles.cos()], dim=-1) + self.kinds(labels)


class MaskDecoder(nn.Module):
    """Tokens of masks and prompts attend to the image and it to them; then masks out of upscaled maps."""

    def __init__(self) -> None:
        super().__init__()
        self.masks, self.block = nn.Parameter(torch.zeros(1, 4, 16)), Block(16, 2, 32, context=16)
        self.back, self.up = Attention(16, 2, context=16), nn.ConvTranspose2d(16, 8, 2, 2)
        self.high, self.filters, self.scores = nn.Conv2d(16, 8, 1), nn.Linear(16, 8), nn.Linear(16, 4)

    def forward(self, image: Tensor, prompts: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        tokens = torch.cat([self.masks + 0 * prompts[:, :1], prompts], dim=1)
        flat = image.flatten(2).transpose(1, 2)
        tokens = self.block(tokens, flat)
        flat = flat + self.back(flat, tokens)
        maps = functional.gelu(self.up(flat.transpose(1, 2).reshape(image.shape)) + self.high(high))
        return self.filters(tokens[:, :4]) @ maps.flatten(2), self.scores(tokens[:, 0])


def sam(folder: Path) -> dict[str, int]:
    """As Apple publishes it: three packages."""
    made = {
        "ImageEncoder": (Hiera(), {"image": IMAGE}, ["image"]),
        "PromptEncoder": (
            PromptEncoder(), {"points": torch.rand(1, 2, 2), "labels": torch.zeros(1, 2, dtype=torch.long)}, [],
        ),
        "MaskDecoder": (
            MaskDecoder(),
            {
                "image_embedding": torch.rand(1, 16, 4, 4), "sparse_embedding": torch.rand(1, 2, 16),
                "feats_s1": torch.rand(1, 16, 8, 8),
            },
            [],
        ),
    }  # fmt: skip
    flops = {}
    for name, (module, inputs, images) in made.items():
        path = folder / f"SAM2_1Tiny{name}FLOAT16.mlpackage"
        flops[path.stem] = converted(module, inputs, path, target="iOS17", images=images)
    return flops


class Esrgan(nn.Module):
    """Of Real-ESRGAN: a densely connected block, and a tile that becomes twice as wide."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Conv2d(3, 8, 3, padding=1)
        self.dense = nn.ModuleList([nn.Conv2d(8 + 4 * number, 4, 3, padding=1) for number in range(3)])
        self.join, self.up, self.out = (
            nn.Conv2d(20, 8, 3, padding=1),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.Conv2d(8, 3, 3, padding=1),
        )

    def forward(self, tile: Tensor) -> Tensor:
        x = self.into(tile)
        parts = [x]
        for conv in self.dense:
            joined = torch.cat(parts, dim=1) if len(parts) > 1 else x
            parts.append(functional.leaky_relu(conv(joined), 0.2))
        x = x + 0.2 * self.join(torch.cat(parts, dim=1))
        x = functional.leaky_relu(self.up(functional.interpolate(x, scale_factor=2.0, mode="nearest")), 0.2)
        return self.out(x)


def real_esrgan(folder: Path) -> dict[str, int]:
    path = folder / "RealESRGAN_x2.mlpackage"
    return {path.stem: converted(Esrgan(), {"tile": torch.rand(1, 3, 16, 16)}, path, images=["tile"])}
