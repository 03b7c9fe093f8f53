"""describe: describe a diffusers or transformers model from its config, without weights and without a network.

Every network of it is made on PyTorch's meta device, where tensors have shapes and no numbers, and one forward pass is
counted: parameters, operations, what is moved and what is held, unit by unit. What is written is a file that `model:`
of a plan takes. docs/models.md says what is counted and what is not.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ondevice_sora.commands.common import (
    EXIT_FITS,
    json_text,
    needing,
    output_path,
    shape_argument,
    whole_number,
    wrote,
)
from ondevice_sora.commands.options import add_force, add_json

if TYPE_CHECKING:
    from ondevice_sora.profiles.models.configured import Attention, Request

EXAMPLES = """
examples:
  ondevice-sora describe wan2.1-1.3b --video 480x320x49 -o wan.yaml
  ondevice-sora describe a-pipeline-folder --video 512x512 --attention 1024 -o model.yaml
  ondevice-sora describe transformer/config.json --video 768x512x49 --text-tokens 128

A plan may also name the config, `model: {config: wan2.1-1.3b}` with `video:`, and needs no file then.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ondevice_sora.profiles.models.configured import config_names

    parser.add_argument(
        "config",
        metavar="CONFIG",
        help=f"a pipeline's folder, a config file, or a shipped config: {', '.join(config_names())}",
    )
    parser.add_argument(
        "--video",
        type=shape_argument,
        metavar="WxHxFRAMES",
        help="such as 832x480x81, or 1024x1024 for a picture (default: the config's)",
    )
    parser.add_argument(
        "--branches",
        type=whole_number(1, 2),
        metavar="N",
        help="2 with classifier-free guidance, else 1 (default: as usual)",
    )
    parser.add_argument(
        "--guidance",
        choices=["batch", "in_turn"],
        default="batch",
        help="both branches in one batch (default), or each unit for one and then for the other",
    )
    parser.add_argument(
        "--attention",
        type=_attention,
        default="fused",
        metavar="HOW",
        help="fused (default): no scores in memory; scores: those of all heads; N: those of N queries at a time",
    )
    parser.add_argument(
        "--embeddings",
        choices=["stored", "rows"],
        default="stored",
        help="the table of token embeddings in its package (default), or only the prompt's rows given",
    )
    parser.add_argument("--text-tokens", type=whole_number(1, 4096), metavar="N", help="tokens of the prompt")
    parser.add_argument(
        "--decoder-tile",
        type=whole_number(64, 2048),
        metavar="PIXELS",
        help="side of the decoder's tiles (default: none)",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the units to this file (YAML)")
    add_json(parser)
    add_force(parser)


def _attention(text: str) -> Attention:
    from ondevice_sora.profiles.models.configured import InChunks

    if text == "fused":
        return "fused"
    if text == "scores":
        return "scores"
    try:
        return InChunks(whole_number(1, 1_000_000)(text))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither fused, scores nor a number of queries.") from None


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    path = None
    if options.output is not None:
        path = output_path(options.output, "", options.force, [options.config], kind=".yaml")
    request = _request(options)
    with needing("describe"):
        from ondevice_sora.runtime.describe.describe import describe, write_model

    model = describe(request)
    from ondevice_sora.reports.terminal.models import print_model

    if options.json:
        print(json_text(model))
    else:
        print_model(model)
    if path is not None:
        write_model(path, model)
        wrote(path)
    return EXIT_FITS


def _request(options: argparse.Namespace) -> Request:
    from ondevice_sora.profiles.models.configured import ConfiguredModel, asked_request

    model = ConfiguredModel(options.config, options.attention, options.embeddings, options.decoder_tile)
    return asked_request(model, options.video, options.branches, options.text_tokens, options.guidance)
