"""Find the cost parameters under which simulated plans take as long as published ones.

The parameters' logarithms start from a prior (what is assumed before any timing is looked at, with its spread) and move
to where the sum of squared misfits is least: of each published figure, in units of `noise`, and of each parameter from
its prior, in units of its spread. What the figures cannot tell apart thus stays near its prior and keeps its spread,
and says so. Published and measured parameters stay as they are. The spread and correlation afterwards are those of the
linearised problem.

Needs SciPy (the extra `fit`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.reading import read_yaml
from ondevice_sora.base.installation import how_to_install
from ondevice_sora.profiles.costs import Array, Costs, Sample, figures, replace_figures
from ondevice_sora.profiles.devices import DATA, Device
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.profile import FitRecord, FittedCell, FittedParameter, Profile
from ondevice_sora.records.checks import PublishedRow
from ondevice_sora.simulator.calibration.corpus_file import read_corpus
from ondevice_sora.simulator.calibration.published import SHIPPED, PlannedCase, prepare_published, rows_of
from ondevice_sora.simulator.fast import finish
from ondevice_sora.simulator.machine import machines_of
from ondevice_sora.simulator.prepare import Prepared

PRIORS = DATA / "priors"
NOISE = 0.02
"""Relative spread taken for a published figure: run-to-run differences and what the model leaves out."""

NOT_FITTED = (
    "baseline_bytes",
    "framework_bytes",
    "thermal.",
    "processors.ane.",
    "engine_loads.",
    "core_ai.",
    "processors.gpu.convolution_working_factor",
)
"""The published timings say nothing of these: memory, heat, and a processor that the runs did not use."""


Place = tuple[int, int]
"""Where a figure stands: the case's number, and the figure's within it."""


@dataclass(frozen=True)
class Fit:
    """The fitted profile and what it gives for the figures that were used."""

    profile: Profile
    rows: list[PublishedRow]


def prior_profile(device: str) -> Profile:
    """What is assumed of a device before any timing is looked at. Raises UserError if nothing is."""
    path = PRIORS / f"{device}.yaml"
    if not path.is_file():
        raise UserError(f"no prior is known for '{device}'", mend=f"Write {path.name} in the folder of priors.")
    return Profile(device, read_yaml(path).convert(Costs), name=f"prior of {device}")


def fit(
    prior: Profile,
    device: Device,
    cases: Sequence[PlannedCase],
    contradictions: Sequence[str] = (),
    *,
    start: Array | None = None,
    without: Collection[Place] = (),
) -> tuple[Fit, Array]:
    """Fit the prior to the calibration figures of the cases; also where it ended, to start a similar fit from.

    without   figures left out, to be predicted by a fit that has not seen them
    """
    problem = _Problem(prior, device, cases, without)
    solution = problem.solve(start)
    return problem.result(solution, contradictions), solution


class _Problem:
    """Residuals of the fit at a point x: each parameter's distance from its prior in units of its spread."""

    def __init__(
        self,
        prior: Profile,
        device: Device,
        cases: Sequence[PlannedCase],
        without: Collection[Place],
    ) -> None:
        self.prior, self.device = prior, device
        self.cases: list[tuple[PlannedCase, Prepared]] = []
        for case_index, planned in enumerate(cases):
            wanted = tuple(
                (index, figure)
                for index, figure in planned.figures
                if figure.role == "calibration" and (case_index, index) not in without
            )
            if wanted:
                if planned.case.device not in (None, device.key):
                    pointer = f"{planned.pointer}.device"
                    what = f"a fit of {device.key} cannot use calibration figures of '{planned.case.device}'"
                    raise planned.source.error(pointer, what, "Give them the role held_out.")
                self.cases.append((replace(planned, figures=wanted), prepare_published(planned.plan, prior, device)))
        if not self.cases:
            what = "no case has a figure with role 'calibration'"
            raise cases[0].source.error("$.cases", what, "Give at least one that role.")
        self.figures = figures(prior.costs)
        self.free = [
            name
            for name, figure in self.figures.items()
            if figure.mark == "estimated" and figure.spread > 0 and not name.startswith(NOT_FITTED)
        ]

    def solve(self, start: Array | None) -> Array:
        try:
            from scipy.optimize import least_squares
        except ImportError:
            raise UserError("fitting needs SciPy, which is not installed", mend=how_to_install("fit")) from None
        begin = np.zeros(len(self.free)) if start is None else start
        found = least_squares(self._residuals, begin, jac=self._jacobian, method="trf", xtol=1e-9, ftol=1e-9)
        return np.asarray(found.x)

    def _sample(self, points: Array) -> Sample:
        """Points [parameter, sample] as values of every figure."""
        sample = {name: np.full(points.shape[1], figure.value) for name, figure in self.figures.items()}
        for row, name in enumerate(self.free):
            sample[name] = self.figures[name].value * np.exp(points[row] * self.figures[name].spread)
        return sample

    def _rows(self, points: Array) -> list[list[PublishedRow]]:
        """For each point, the rows of all cases."""
        sample = self._sample(points)
        found: list[list[PublishedRow]] = [[] for _ in range(points.shape[1])]
        for planned, prepared in self.cases:
            costs = prepared.price(sample)
            for index, machine in enumerate(machines_of(self.prior.costs, prepared.setting.limit_bytes, sample)):
                found[index] += rows_of(planned, prepared, finish(prepared.schedule, costs, machine, index))
        return found

    def _misfits(self, points: Array) -> Array:
        """[figure, point]: log of simulated over published, in units of the noise."""
        rows = self._rows(points)
        return np.array([[np.log(row.simulated / row.published) / NOISE for row in column] for column in rows]).T

    def _residuals(self, x: Array) -> Array:
        return np.concatenate([self._misfits(x[:, None])[:, 0], x])

    def _jacobian(self, x: Array) -> Array:
        step = 1e-4
        size = len(x)
        points = np.concatenate([x[:, None] + step * np.eye(size), x[:, None] - step * np.eye(size)], axis=1)
        misfits = self._misfits(points)
        slopes = (misfits[:, :size] - misfits[:, size:]) / (2 * step)
        return np.concatenate([slopes, np.eye(size)])

    def result(self, x: Array, contradictions: Sequence[str]) -> Fit:
        jacobian = self._jacobian(x)
        covariance = np.linalg.inv(jacobian.T @ jacobian)
        deviation = np.sqrt(np.diag(covariance))
        correlation = covariance / np.outer(deviation, deviation)
        (rows,) = self._rows(x[:, None])
        changes, parameters = {}, []
        count = len(rows)
        for row, name in enumerate(self.free):
            prior = self.figures[name]
            learned = 1.0 - float(deviation[row])
            value = prior.value * float(np.exp(x[row] * prior.spread))
            if learned >= 0.5:
                figure = Figure(
                    value,
                    "fitted",
                    f"fitted to {count} published figures, {self.cases[0][0].source.data['source']}",
                    prior.spread * float(deviation[row]),
                )
            else:
                source = f"{prior.source}; moved by the fit, which says little of it"
                figure = Figure(value, prior.mark, source, prior.spread * float(deviation[row]))
            changes[name] = figure
            parameters.append(
                FittedParameter(
                    name, prior.value, prior.spread, _figures(value), _figures(figure.spread), _figures(learned)
                )
            )
        record = FitRecord(
            command=f"ondevice-sora profile fit --device {self.prior.device}",
            cells=tuple(FittedCell(r.case, r.quantity, r.place, r.published, _figures(r.simulated, 6)) for r in rows),
            parameters=tuple(parameters),
            correlation=tuple(
                tuple(round(float(c), 4) for c in correlation[row, :row]) for row in range(len(self.free))
            ),
            noise=NOISE,
            contradictions=tuple(" ".join(text.split()) for text in contradictions),
            corpus=read_corpus(SHIPPED / "corpus.yaml").fitted,
        )
        rounded = {
            name: msgspec.structs.replace(f, value=_figures(f.value, 6), spread=_figures(f.spread))
            for name, f in changes.items()
        }
        profile = Profile(
            device=self.prior.device,
            costs=replace_figures(self.prior.costs, rounded),
            conditions={
                "source": str(self.cases[0][0].source.data["source"]),
                "kind": "fitted to published totals, not captured",
            },
            measurements=self.prior.measurements,
            fit=record,
            name=f"fit of {self.prior.device}",
        )
        return Fit(profile, rows)


def _figures(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")
