"""Models of the hub, described from their configs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from ondevice_sora.api.given import in_python, shape_of
from ondevice_sora.api.shown import frame_of, printed, titled_table
from ondevice_sora.profiles.models.model import Branches, Model

if TYPE_CHECKING:
    import pandas as pd

    from ondevice_sora.profiles.models.configured import Request


@dataclass(frozen=True)
class ModelDescription:
    """A model's units, with parameters and operations. A plan's keys take it: {"model": described, ...}."""

    model: Model

    def to_frame(self) -> pd.DataFrame:
        """One row a unit: component, name, parameters, and what one run of it does."""
        return frame_of(
            {"component": component.name, "passes": component.passes, "unit": unit.name, "parameters": unit.parameters}
            | msgspec.structs.asdict(unit.plain)
            for component in self.model.components
            for unit in component.units
        )

    def save(self, path: str | Path) -> Path:
        """Write the units as YAML, which `model:` of a plan takes; an existing file is replaced."""
        from ondevice_sora.runtime.describe.describe import write_model

        write_model(Path(path), self.model)
        return Path(path)

    def summary(self) -> str:
        """What `describe` prints."""
        from ondevice_sora.reports.terminal.models import print_model

        return printed(lambda: print_model(self.model))

    def __repr__(self) -> str:
        parameters = sum(unit.parameters for component in self.model.components for unit in component.units)
        return f"<ModelDescription of {self.model.name!r}: {parameters:,} parameters>"

    def _repr_html_(self) -> str:
        return titled_table(self.model.name, self.to_frame, self.summary)


@in_python
def describe(
    config: str | Path,
    video: str | tuple[int, int, int] | None = None,
    *,
    branches: Literal[1, 2] | None = None,
    guidance: Branches = "batch",
    attention: Literal["fused", "scores"] | int = "fused",
    embeddings: Literal["stored", "rows"] = "stored",
    text_tokens: int | None = None,
    decoder_tile: int | None = None,
) -> ModelDescription:
    """Describe a diffusers or transformers model from its config, without weights and without a network.

    config        a pipeline's folder, a config file, or a shipped config
    video         '832x480x81', or width, height and frames (the config's own)
    branches      2 with classifier-free guidance, else 1 (as usual)
    guidance      both branches in one batch, or each unit for one and then for the other
    attention     'fused': no scores in memory; 'scores': those of all heads; a number: those of so many queries
    embeddings    'stored': the table of token embeddings in its package; 'rows': only the prompt's rows
    text_tokens   tokens of the prompt
    decoder_tile  side of the decoder's tiles, in pixels (none)

    Needs the extra `describe`. Raises UserError for a config, a class or a shape that cannot be counted.
    """
    from ondevice_sora.commands.common import needing

    request = _request(config, video, branches, guidance, attention, embeddings, text_tokens, decoder_tile)
    with needing("describe"):
        from ondevice_sora.runtime.describe.describe import describe as described

    return ModelDescription(described(request))


def _request(
    config: str | Path,
    video: str | tuple[int, int, int] | None,
    branches: Literal[1, 2] | None,
    guidance: Branches,
    attention: Literal["fused", "scores"] | int,
    embeddings: Literal["stored", "rows"],
    text_tokens: int | None,
    decoder_tile: int | None,
) -> Request:
    from ondevice_sora.profiles.models.configured import ConfiguredModel, InChunks, asked_request

    chunks = InChunks(attention) if isinstance(attention, int) else attention
    model = ConfiguredModel(str(config), chunks, embeddings, decoder_tile)
    shape = None if video is None else shape_of(video)
    return asked_request(model, shape, branches, text_tokens, guidance)
