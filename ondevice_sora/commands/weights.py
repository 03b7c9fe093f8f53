"""weights: fetch a published model's weights, and see whether a folder of weights is whole.

`weights get opensora -o DIR` fetches what is needed of Open-Sora v1.2 from the Hugging Face hub, about 25 GB, into the
layout that --weights names everywhere: DIR/text_encoder, DIR/denoiser, DIR/decoder. It goes on where it was stopped,
and compares size and checksum of every file with what the hub lists. The library's environment variables hold:
HF_ENDPOINT names a mirror, HF_TOKEN is sent if the models ask for it. It needs huggingface_hub.

`weights check DIR` says what is there, missing and misshapen, from names, sizes and headers, in seconds. Exit status 2:
something is. It needs PyTorch.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.interrupts import keeping
from ondevice_sora.commands.common import EXIT_FITS, json_text, needing, shown, wrote
from ondevice_sora.commands.options import add_json
from ondevice_sora.commands.progress import progress_bar

MEGABYTE = 10**6
EXAMPLES = """
examples:
  ondevice-sora weights get opensora -o opensora
  ondevice-sora weights check opensora
  ondevice-sora weights check runtime/small/weights --model small --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="get|check")
    get = actions.add_parser("get", help="fetch a published model's weights (needs huggingface_hub)")
    get.add_argument("model", metavar="MODEL", help="opensora")
    get.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the model's folder")
    add_json(get)
    check = actions.add_parser("check", help="what of a model's weights is in a folder (needs PyTorch)")
    check.add_argument("folder", type=Path, metavar="DIR", help="the model's folder: text_encoder, denoiser, decoder")
    check.add_argument("--model", default="opensora", metavar="MODEL", help="opensora or small (default %(default)s)")
    add_json(check)


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    return {"get": _get, "check": _check}[options.action](options)


def _get(options: argparse.Namespace) -> int:
    from ondevice_sora.records.weights import FetchedPart

    with needing("weights"):
        from ondevice_sora.runtime.published.download import plan_download, run_download
        from ondevice_sora.runtime.published.hub import library

        library()
    directory = options.output
    download = plan_download(options.model, directory)
    with (
        keeping(f"what has arrived is kept in {directory}; the same command goes on from it"),
        progress_bar("MB", download.num_bytes // MEGABYTE) as advance,
    ):
        run_download(download, _in_megabytes(advance))
    parts = []
    for source in download.sources:
        files = [each.remote for each in download.wanted if each.folder.name == source.folder]
        size, commit = sum(file.num_bytes for file in files), files[0].commit
        parts.append(FetchedPart(source.folder, len(files), size, source.repository, commit))
    if options.json:
        print(json_text({"parts": parts}))
    else:
        from ondevice_sora.reports.terminal.weights import print_fetched

        print_fetched(parts)
    wrote(directory)
    return EXIT_FITS


def _in_megabytes(advance: Callable[[int], None]) -> Callable[[int], None]:
    """What takes bytes, for a bar that counts whole megabytes."""
    done = 0

    def add(num_bytes: int) -> None:
        nonlocal done
        before, done = done, done + num_bytes
        advance(done // MEGABYTE - before // MEGABYTE)

    return add


def _check(options: argparse.Namespace) -> int:
    with needing("torch"):
        from ondevice_sora.runtime.published.check import check_weights
    report = check_weights(options.folder, options.model)
    if options.json:
        import json

        shown(lambda: print(json.dumps(report.document(), indent=1, ensure_ascii=False)))
    else:
        from ondevice_sora.reports.terminal.weights import print_weights

        shown(lambda: print_weights(report))
    if report.problems:
        raise UserError("\n".join(str(problem) for problem in report.problems))
    return EXIT_FITS
