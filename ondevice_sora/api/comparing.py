"""Runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ondevice_sora.api.given import in_python
from ondevice_sora.api.running import Run
from ondevice_sora.api.shown import frame_of, printed, titled_table
from ondevice_sora.base.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure


@dataclass(frozen=True)
class Comparison:
    """Two or more runs, beside each other; every difference is to the first."""

    runs: tuple[Run, ...]

    @property
    def names(self) -> list[str]:
        """What the runs are called, no two alike."""
        from ondevice_sora.reports.rows import labels

        return labels([run.trace for run in self.runs])

    def to_frame(self) -> pd.DataFrame:
        """One row a run: device, verdict, seconds in all and by component, waiting, bytes at the peak and loaded."""
        from ondevice_sora.reports.compare import run_rows

        return frame_of(run_rows([run.trace for run in self.runs], self.names))

    def differences(self) -> pd.DataFrame:
        """One row a key of the plans that is not the same in all, one column a run."""
        from ondevice_sora.reports.differences import differences

        found = differences([run.trace for run in self.runs])
        return frame_of({"key": row.key, **dict(zip(self.names, row.values, strict=True))} for row in found)

    def figure(self) -> Figure:
        """The seconds of each run by component, beside its peak and the limit."""
        from ondevice_sora.reports.charts import comparison_figure

        return comparison_figure([run.trace for run in self.runs], self.names)

    def summary(self) -> str:
        """What `simulate` prints of several plans."""
        from ondevice_sora.reports.terminal.side_by_side import print_side_by_side

        return printed(lambda: print_side_by_side([run.trace for run in self.runs]))

    def report(self, path: str | Path) -> Path:
        """Write one self-contained HTML page; an existing file is replaced."""
        return report(self.runs, path)

    def _sentence(self) -> str:
        from ondevice_sora.reports.headline import headline

        words, sentence = headline([run.trace for run in self.runs], self.names)
        return f"{words}. {sentence}"

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.runs)} runs: {self._sentence()}>"

    def _repr_html_(self) -> str:
        return titled_table(self._sentence(), self.to_frame, self.summary)


@in_python
def compare(runs: Iterable[Run] | Mapping[str, Run]) -> Comparison:
    """Set runs beside each other; a mapping says what they are called. Raises UserError for fewer than two."""
    if isinstance(runs, Mapping):
        runs = [Run(msgspec.structs.replace(run.trace, plan=name)) for name, run in runs.items()]
    found = tuple(runs)
    if len(found) < 2:
        raise UserError(f"{len(found)} runs are given, and two or more are compared", mend="Give another one.")
    return Comparison(found)


@in_python
def report(runs: Run | Iterable[Run], path: str | Path) -> Path:
    """Write one self-contained HTML page; several runs are set side by side. Raises UserError without any."""
    from ondevice_sora.reports.page.report import write_report

    write_report([run.trace for run in ([runs] if isinstance(runs, Run) else runs)], path)
    return Path(path)
