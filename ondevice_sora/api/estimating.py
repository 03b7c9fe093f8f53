"""What Core ML packages would cost on a device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from ondevice_sora.api.given import DEFAULT_DEVICE, in_python, place_of
from ondevice_sora.api.shown import frame_of, preformatted, printed
from ondevice_sora.base.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from ondevice_sora.api.catalogue import DeviceProfile
    from ondevice_sora.profiles.blocks import ComputeUnits
    from ondevice_sora.records.estimate import Estimate
    from ondevice_sora.runtime.coreml.estimate.estimate import Described


@dataclass(frozen=True)
class PackageEstimate:
    """What Core ML packages cost on a device, counted from their programs; nothing was run."""

    described: Described
    device: str

    @property
    def estimate(self) -> Estimate:
        return self.described.estimate

    def to_frame(self) -> pd.DataFrame:
        """One row a function of a package."""
        return frame_of(
            {"path": package.path, "compute_units": package.compute_units, "precision": package.precision}
            | msgspec.to_builtins(function)
            for package in self.estimate.packages
            for function in package.functions
        )

    def save(self, directory: str | Path) -> Path:
        """Write model.yaml, profile.yaml and plan.yaml, which `simulate` takes; existing files are replaced."""
        from ondevice_sora.runtime.coreml.estimate.estimate import write_described

        write_described(self.described, Path(directory))
        return Path(directory)

    def summary(self) -> str:
        """What `profile estimate` prints."""
        from ondevice_sora.reports.terminal.estimates import print_estimate

        return printed(lambda: print_estimate(self.estimate))

    def __repr__(self) -> str:
        return f"<PackageEstimate of {len(self.estimate.packages)} packages on {self.estimate.device}>"

    def _repr_html_(self) -> str:
        return preformatted(self.summary())


@in_python
def estimate(
    paths: str | Path | Iterable[str | Path] = (),
    device: str | Path | DeviceProfile = DEFAULT_DEVICE,
    *,
    components: Mapping[str, Iterable[str | Path]] | None = None,
    compute_units: ComputeUnits | None = None,
    passes: Mapping[str, int | Literal["steps"]] | None = None,
    function: str | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    loaded_together: Literal["shared", "separate"] | None = None,
    steps: int = 30,
    name: str = "",
) -> PackageEstimate:
    """What Core ML packages would cost on a device: an export, packages, or folders of them (a folder is a component).

    components      packages that are a component's blocks in this order, wherever they lie
    compute_units   where they would run; without, as an export's plan says, else CPU and GPU
    passes          how often components are walked in a generation, such as {"unet": "steps"}; else once
    function        of packages with several: which one, or "all"; without, the package's own default
    shapes          of inputs whose shapes are open, such as {"x": (1, 77)}; else the model's own defaults
    loaded_together   with function="all": the plan keeps all loaded, their weights once ('shared') or each for itself
    steps           of the plan; an export has its own
    name            the model's (that of the first path)

    Raises UserError for packages that cannot be counted.
    """
    from ondevice_sora.commands.common import needing
    from ondevice_sora.profiles.profile import load_profile

    chosen = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    parts = {component: list(map(Path, listed)) for component, listed in (components or {}).items()}
    if not chosen and not parts:
        raise UserError("no package is named", mend="Give an export, packages, or folders of them.")
    place = place_of(device)
    with needing("coreml"):
        from ondevice_sora.runtime.coreml.estimate.estimate import describe
        from ondevice_sora.runtime.coreml.estimate.folders import ALL, Choices, find_packages
    if loaded_together and function != ALL:
        raise UserError("--loaded-together has no effect without --function all", mend="Give both, or neither.")
    described = describe(
        find_packages(chosen, parts, Choices(function, shapes or {})),
        *(load_profile(place) if isinstance(place, str) else place),
        compute_units=compute_units,
        name=name or (chosen[0].resolve().name if chosen else next(iter(parts))),
        passes=dict(passes or {}),
        steps=steps,
        together=loaded_together,
    )
    return PackageEstimate(described, described.estimate.device)
