"""What is to be measured on a phone: all functions of the packages below a folder, named as a plan's model has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ondevice_sora.base.errors import UserError
from ondevice_sora.profiles.blocks import ComputeUnits
from ondevice_sora.profiles.capture_file import CapturedBlock, Failure
from ondevice_sora.profiles.models.catalogue import architecture
from ondevice_sora.profiles.models.model import Precision, Variant
from ondevice_sora.runtime.coreml.estimate.folders import find_packages
from ondevice_sora.runtime.coreml.export.manifest import MANIFEST, packaged, read_manifest
from ondevice_sora.runtime.coreml.package.package import Package
from ondevice_sora.runtime.coreml.package.reading import PACKAGE, read_package
from ondevice_sora.runtime.coreml.package.weights import weights_of

DEFAULT_UNITS: ComputeUnits = "cpu_and_gpu"


@dataclass(frozen=True)
class Target:
    """A function of a package on a choice of compute units, and the block that it is.

    `function` is empty where the package has one only.
    """

    component: str
    first_unit: str
    last_unit: str
    variant: Variant
    precision: Precision
    compute_units: ComputeUnits
    package: Path
    function: str
    stored_bytes: int
    sha256: str

    def block(self) -> CapturedBlock:
        """The block without samples."""
        return CapturedBlock(
            component=self.component,
            first_unit=self.first_unit,
            last_unit=self.last_unit,
            compute_units=self.compute_units,
            precision=self.precision,
            variant=self.variant,
            package=self.package.name,
            function=self.function,
            sha256=self.sha256,
            stored_bytes=self.stored_bytes,
        )

    def failure(self, reason: str, *, app_ended: bool) -> Failure:
        """Why it was not measured."""
        return Failure(
            package=self.package.name,
            function=self.function,
            compute_units=self.compute_units,
            reason=reason,
            component=self.component,
            first_unit=self.first_unit,
            last_unit=self.last_unit,
            variant=self.variant,
            precision=self.precision,
            sha256=self.sha256,
            app_ended=app_ended,
        )


def targets_in(directory: Path, compute_units: Sequence[ComputeUnits]) -> tuple[str, list[Target]]:
    """The model's name and its targets; without compute units, on those of an export's plan, else on CPU and GPU.

    An export is of the model of its plan. Any other folder is a model of its own name, with components and units as
    `profile estimate` finds them. Raises UserError.
    """
    if (directory / MANIFEST).is_file():
        return _exported(directory, compute_units)
    found = find_packages([directory]).complete()
    targets = []
    precisions = {
        name: weights_of([b.packages[0] for b in found.blocks if b.component == name]).precision
        for name in {block.component for block in found.blocks}
    }
    for block in found.blocks:
        (package,) = block.packages
        if package.path.suffix != PACKAGE or not package.path.is_dir() or block.notes:
            raise UserError(
                f"a phone is given {PACKAGE} folders of one ML Program, and this is none", str(package.path)
            )
        stored = packaged(package.path.parent, package.path.name)
        for variant, function in block.functions.items():
            for units in compute_units or (DEFAULT_UNITS,):
                targets.append(
                    Target(
                        component=block.component,
                        first_unit=block.unit,
                        last_unit=block.unit,
                        variant=variant,
                        precision=precisions[block.component],
                        compute_units=units,
                        package=package.path,
                        function=_named(package, function.name),
                        stored_bytes=stored.num_bytes,
                        sha256=stored.checksum,
                    )
                )
    return directory.resolve().name, targets


def _exported(directory: Path, compute_units: Sequence[ComputeUnits]) -> tuple[str, list[Target]]:
    """`tail` functions are left out: a plan's block is measured in its whole passes."""
    manifest = read_manifest(directory)
    described = architecture(manifest.model)
    targets = []
    for block in manifest.blocks:
        packages = {each.file: each for each in block.packages}
        read = {file: read_package(directory / file) for file in packages}
        for function in block.functions:
            if function.kind == "tail":
                continue
            for units in compute_units or (block.compute_units,):
                stored = packages[function.package]
                targets.append(
                    Target(
                        component=block.component,
                        first_unit=block.first_unit,
                        last_unit=block.last_unit,
                        variant=function.kind,
                        precision=block.precision,
                        compute_units=units,
                        package=directory / function.package,
                        function=_named(read[function.package], function.function),
                        stored_bytes=stored.num_bytes,
                        sha256=stored.checksum,
                    )
                )
    return manifest.model if described is None else described.name, targets


def _named(package: Package, function: str) -> str:
    return function if len(package.functions) > 1 else ""
