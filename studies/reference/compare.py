"""Compare this implementation with a directory of reference vectors, file by file.

The directory may lack files, and may have other sizes, steps, leaps and names of sequences than another in the same
form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.interrupts import check
from ondevice_sora.records.checks import CaseResult
from ondevice_sora.studies.reference import checkpoints as manifest
from ondevice_sora.studies.reference import decoder, denoiser, sampling, text_encoder
from ondevice_sora.studies.reference.files import EXACT, malformed_is_a_user_error

SUITES: tuple[tuple[tuple[str, ...], Callable[[Path], Iterator[CaseResult]]], ...] = (
    (denoiser.MODEL_FILES, denoiser.model_cases),
    (denoiser.BLOCK_FILES, denoiser.block_cases),
    (text_encoder.FILES, text_encoder.cases),
    (decoder.FILES, decoder.cases),
    (sampling.TIMESTEP_FILES, sampling.timestep_cases),
    (sampling.EULER_FILES, sampling.euler_cases),
    (sampling.LEAP_FILES, sampling.leap_cases),
    (sampling.END_TO_END_FILES, sampling.end_to_end_cases),
    (manifest.FILES, manifest.cases),
)


def validate_reference(directory: Path | str) -> list[CaseResult]:
    """One result for each case of each reference file in `directory`.

    Files that need others to be of use, and lack them, give a result with a note and no difference. Raises UserError if
    the directory holds no reference file, or one that is damaged or of another form.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise UserError("no such directory", str(directory), "Point to the directory that holds the reference vectors.")
    results: list[CaseResult] = []
    for files, cases in SUITES:
        lacking = [file for file in files if not (directory / file).is_file()]
        if lacking and len(lacking) < len(files):
            present = ", ".join(file for file in files if file not in lacking)
            results.append(CaseResult(present, "all", None, EXACT, f"not compared: {', '.join(lacking)} is lacking"))
        if not lacking:
            with malformed_is_a_user_error(directory / files[-1]), torch.no_grad():
                for result in cases(directory):
                    check()
                    results.append(result)
    if not results:
        known = ", ".join(file for files, _ in SUITES for file in files)
        raise UserError("no reference vectors here", str(directory), f"It should hold some of {known}.")
    return results
