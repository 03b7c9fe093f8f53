"""Training one stage: optimiser, averaged weights, progress, log, checkpoints that a later run goes on from."""

from __future__ import annotations

import json
import math
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from ondevice_sora.runtime.small.training.optimisers import Optimiser, Rule
from ondevice_sora.runtime.small.training.stages import Stage

LOG_EVERY_STEPS = 25
SAVE_EVERY_S = 120.0
GRADIENT_CLIP = 1.0


@dataclass(frozen=True)
class LearningSchedule:
    """Steps and learning rate: linear warm-up, then half a cosine down to a hundredth."""

    num_steps: int
    learning_rate: float
    warmup_steps: int = 100
    average_decay: float = 0.998
    optimiser: Rule = "muon"

    def rate(self, step: int) -> float:
        """Learning rate at a step."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.num_steps - self.warmup_steps)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


class Trainer:
    """Trains `stage` in `directory`: NAME.state.pt to resume from, NAME.log.jsonl with a line every 25 steps."""

    def __init__(self, stage: Stage, schedule: LearningSchedule, directory: Path) -> None:
        self.stage = stage
        self.schedule = schedule
        self.state_file = directory / f"{stage.name}.state.pt"
        self.log_file = directory / f"{stage.name}.log.jsonl"
        directory.mkdir(parents=True, exist_ok=True)
        self.optimiser = Optimiser(stage.module, schedule.optimiser)
        self.parameters = self.optimiser.parameters
        self.averages = [parameter.detach().clone() for parameter in self.parameters]
        self.step = 0
        self.seconds = 0.0
        if self.state_file.is_file():
            self._restore()

    @property
    def is_done(self) -> bool:
        return self.step >= self.schedule.num_steps

    def run(self, limit_s: float = math.inf) -> bool:
        """Train up to the last step, or for `limit_s` seconds; saves on the way, at the end and when interrupted.

        Returns whether the last step is reached; the module then holds the averaged weights.
        """
        if self.is_done:
            self.use_averages()
            return True
        began = saved = time.monotonic()
        figures: dict[str, list[float]] = defaultdict(list)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        self.stage.module.train()
        with Progress(*columns, refresh_per_second=1) as progress:
            task = progress.add_task(self.stage.name, total=self.schedule.num_steps, completed=self.step, figures="")
            try:
                while not self.is_done and time.monotonic() - began < limit_s:
                    for name, value in self._train_step().items():
                        figures[name].append(value)
                    if self.step % LOG_EVERY_STEPS == 0 or self.is_done:
                        means = {name: sum(values) / len(values) for name, values in figures.items()}
                        self._log(means, time.monotonic() - began)
                        shown = " ".join(f"{name} {mean:.4f}" for name, mean in means.items())
                        progress.update(task, figures=shown)
                        figures.clear()
                    progress.update(task, completed=self.step)
                    if time.monotonic() - saved > SAVE_EVERY_S:
                        self._save(time.monotonic() - began)
                        saved = time.monotonic()
            finally:
                self._save(time.monotonic() - began)
                self.seconds += time.monotonic() - began
        if self.is_done:
            self.use_averages()
        return self.is_done

    def use_averages(self) -> None:
        """Put the averaged weights into the module."""
        with torch.no_grad():
            for parameter, average in zip(self.parameters, self.averages, strict=True):
                parameter.copy_(average)
        self.stage.module.eval()

    def _train_step(self) -> dict[str, float]:
        self.optimiser.zero_grad()
        loss, figures = self.stage.loss(self.step)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, GRADIENT_CLIP)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"{self.stage.name}: the gradient at step {self.step} is not finite")
        self.optimiser.step(self.schedule.rate(self.step))
        # Early averages would remember the first random weights for long; they start short and lengthen.
        decay = min(self.schedule.average_decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.averages, [parameter.detach() for parameter in self.parameters], 1 - decay)
        self.step += 1
        return {"loss": loss.item(), **figures}

    def _log(self, means: dict[str, float], elapsed_s: float) -> None:
        line = {
            "step": self.step,
            "seconds": round(self.seconds + elapsed_s, 1),
            "rate": round(self.schedule.rate(self.step - 1), 8),
            **{name: round(mean, 6) for name, mean in means.items()},
        }
        with self.log_file.open("a") as log:
            log.write(json.dumps(line) + "\n")

    def _save(self, elapsed_s: float) -> None:
        partial = self.state_file.with_name(self.state_file.name + ".partial")
        state = {
            "step": self.step,
            "seconds": self.seconds + elapsed_s,
            "parameters": [parameter.detach() for parameter in self.parameters],
            "averages": self.averages,
            "optimiser": self.optimiser.state(),
        }
        torch.save(state, partial)
        os.replace(partial, self.state_file)

    def _restore(self) -> None:
        state: dict[str, Any] = torch.load(self.state_file, weights_only=True)
        self.step, self.seconds = state["step"], state["seconds"]
        with torch.no_grad():
            for parameter, saved in zip(self.parameters, state["parameters"], strict=True):
                parameter.copy_(saved)
        averages: list[Tensor] = state["averages"]
        self.averages = averages
        self.optimiser.restore(state["optimiser"])
        # Steps after the last save are run again, so their lines would come twice.
        lines = self.log_file.read_text().splitlines(keepends=True) if self.log_file.is_file() else []
        self.log_file.write_text("".join(line for line in lines if json.loads(line)["step"] <= self.step))
        if self.is_done:
            self.use_averages()
