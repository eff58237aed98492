"""The training loop of pre-training, in PyTorch: labels, boxes and a teacher's maps, on augmented images.

The student learns from up to three targets at once:

- image labels (binary cross-entropy of the logit),
- the radiologists' boxes (binary cross-entropy of every cell),
- optionally a teacher's maps of the same image, standardised per channel and clipped to +-4, matched by a 1x1
  projection of the student's map of the same size (smooth L1). Matching maps rather than pooled vectors teaches
  several times more per step (Romero et al. 2015, FitNets).

Only training images are used; val measures progress. The result is the running average of the weights.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from fracture_core.files import atomic_write
from fracture_core.inference.engine import Engine
from fracture_core.metrics.curves import average_precision, roc_auc
from fracture_core.network.graph import Graph
from fracture_core.network.weights import Weights, save_weights
from fracture_core.pretraining.batches import Batch, StageSchedule
from fracture_core.pretraining.optimiser import MuonBesideAdamW, make_optimiser
from fracture_core.pretraining.precision import engine_precision, half_where_faster
from fracture_core.pretraining.teacher import Teacher, in_torch
from fracture_core.pretraining.torch_model import GraphModule
from fracture_core.recipe import Recipe


class Pretraining:
    """One stage: `run()` continues from the folder's checkpoint to the end.

    `matches` pairs nodes of the teacher with nodes of the student whose maps have the same size.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        schedule: StageSchedule,
        graph: Graph,
        weights: Weights,
        teacher: tuple[Graph, Weights] | None = None,
        matches: tuple[tuple[str, str], ...] = (),
        report: Callable[[dict], None] | None = None,
    ):
        self.folder, self.recipe, self.schedule = folder, recipe, schedule
        self.report = report or (lambda entry: None)
        torch.manual_seed(recipe.seed)
        student_nodes = tuple(dict.fromkeys(node for _, node in matches))
        self.student = GraphModule(graph, weights, student_nodes).to(memory_format=torch.channels_last)
        self.student.freeze_through(schedule.frozen_through)
        for module in self.student.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = schedule.statistics_momentum
        self._weights = weights
        self._frozen_engines: dict[int, Engine] = {}
        self.average = GraphModule(graph, weights).to(memory_format=torch.channels_last).eval()
        self.teacher = None
        self.projections = torch.nn.ModuleList()
        if teacher:
            self.teacher = Teacher(*teacher, matches, engine_precision(), mirrored=schedule.teacher_mirrored)
        self.optimiser: (
            torch.optim.Optimizer | MuonBesideAdamW
        )  # made by `_prepare`, which knows the teacher's projections
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, stream: Callable[[int], Iterator[Batch]], val: tuple[np.ndarray, np.ndarray]) -> Weights:
        """Train to the last step.

        Args:
            stream: Returns the batches from a step to the last of the schedule.
            val: Images uint8 (n, S, S) and labels (n,).

        Returns:
            The averaged weights.
        """
        self._prepare(stream)
        self._resume()
        began, seen = time.monotonic(), 0
        for batch in stream(self.step):
            losses = self._train_step(batch)
            self.step += 1
            seen += len(batch.images)
            if self.step % 10 == 0:
                rate = round(seen / (time.monotonic() - began), 2)
                self._log({"step": self.step, "images_per_second": rate, **losses})
            if self.step % self.schedule.validate_every == 0 or self.step == self.schedule.steps:
                logits = self.score(val[0])
                self._log(
                    {
                        "step": self.step,
                        "val_auc": roc_auc(val[1], logits),
                        "val_ap": average_precision(val[1], logits),
                    }
                )
            if self.step % self.schedule.checkpoint_every == 0 or self.step == self.schedule.steps:
                self._save()
        weights = self.average.export()
        save_weights(self.folder / "average.safetensors", weights)
        return weights

    def _prepare(self, stream: Callable[[int], Iterator[Batch]]) -> None:
        if self.teacher:
            # Leaving the stream early ends it.
            self.teacher.measure([batch.taught for batch in islice(stream(0), min(6, self.schedule.steps))])
            with torch.no_grad():
                outputs = self.student.eval()(torch.zeros(1, 1, self.recipe.image_size, self.recipe.image_size))
            for (_, node), (mean, _) in zip(self.teacher.matches, self.teacher.statistics, strict=True):
                self.projections.append(torch.nn.Conv2d(outputs[node].shape[1], mean.shape[1], 1))
        named = [*self.student.named_parameters(), *self.projections.named_parameters("projections")]
        self.optimiser = make_optimiser(named, self.schedule)

    def _rate(self, head: bool) -> float:
        s = self.schedule
        rate = s.learning_rate * (s.head_rate if head else 1.0)
        if self.step < s.warmup and not head:
            return rate * (self.step + 1) / s.warmup
        falling = max(1.0, s.decay * (s.steps - s.warmup))
        done = max(0.0, 1 - (s.steps - self.step) / falling)
        return rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))

    def _train_step(self, batch: Batch) -> dict[str, float]:
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate(group["head"])
        x = batch.images.contiguous(memory_format=torch.channels_last)
        losses: dict[str, torch.Tensor] = {}
        self.student.train()
        frozen = self._frozen_maps(batch.images)
        with half_where_faster():
            outputs = self.student(x, frozen)
            projected = [p(outputs[node]) for p, (_, node) in zip(self.projections, self._matches, strict=True)]
        known = {name: outputs[name].float()[batch.whole] for name in ("logit", "global_logit", "cells")}
        labels = batch.labels[batch.whole]
        label = F.binary_cross_entropy_with_logits(known["logit"][:, 0], labels)
        losses["label"] = self.schedule.label_weight * label
        alone = F.binary_cross_entropy_with_logits(known["global_logit"][:, 0], labels)
        losses["global"] = self.schedule.global_weight * alone
        losses["box"] = self.schedule.box_weight * self._box_loss(known["cells"][:, 0], batch.cells[batch.whole])
        if self.teacher:
            losses |= self._distillation(self.teacher, batch.taught, outputs, projected)
        total = sum(losses.values())
        self.optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.optimiser.step()
        self._average()
        return {name: round(float(value.detach()), 4) for name, value in losses.items()}

    def _frozen_maps(self, images: torch.Tensor) -> dict[str, torch.Tensor] | None:
        """Return what the frozen part makes of images, from the inference engine: a third of PyTorch's time."""
        if not self.student.frozen:
            return None
        size = images.shape[-1]
        if size not in self._frozen_engines:
            part = self.student.frozen_part().at_size(size)
            self._frozen_engines[size] = Engine(part, self._weights, precision=engine_precision())
        return in_torch(self._frozen_engines[size].run(images[:, 0].numpy()))

    def _distillation(
        self, teacher: Teacher, x: torch.Tensor, outputs: Mapping[str, torch.Tensor], projected: list[torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        s = self.schedule
        losses: dict[str, torch.Tensor] = {}
        maps, taught = teacher.targets(x)
        if s.dense_weight:
            pairs = zip(projected, maps, strict=True)
            dense = [F.smooth_l1_loss(p.float(), _resized(target, p)) for p, target in pairs]
            losses["dense"] = s.dense_weight * sum(dense) / len(dense)
        if s.logit_weight:
            probability = torch.sigmoid(taught["logit"])
            losses["logit"] = s.logit_weight * F.binary_cross_entropy_with_logits(outputs["logit"].float(), probability)
        if s.cell_weight:
            # Far below zero a cell says nothing, however far: only what could be a fracture is worth matching.
            ours, theirs = (cells["cells"].float().clamp(min=-8.0) for cells in (outputs, taught))
            losses["cells"] = s.cell_weight * F.smooth_l1_loss(ours, _resized(theirs, ours))
        return losses

    @property
    def _matches(self) -> tuple[tuple[str, str], ...]:
        return self.teacher.matches if self.teacher else ()

    def _box_loss(self, cells: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the cross-entropy of every cell over the cells on fractures, so that tiny boxes count enough."""
        weight = torch.tensor(self.schedule.box_positive_weight)
        loss = F.binary_cross_entropy_with_logits(cells, target, pos_weight=weight, reduction="sum")
        return loss / (target.sum() + len(target))

    @torch.no_grad()
    def _average(self) -> None:
        # Early on the average follows closely, or the random heads would stay in it for hundreds of steps.
        decay = min(self.schedule.averaging, (1 + self.step) / (10 + self.step))
        for averaged, new in zip(self.average.state_dict().values(), self.student.state_dict().values(), strict=True):
            if averaged.is_floating_point():
                averaged.lerp_(new, 1 - decay)

    def score(self, squares: np.ndarray) -> np.ndarray:
        """Score letterboxed images with the averaged weights.

        Args:
            squares: uint8 (n, S, S).

        Returns:
            Logits, float32 (n,).
        """
        engine = Engine(self.student.graph, self.average.export())
        parts = [engine.run(np.asarray(squares[start : start + 64]))["logit"] for start in range(0, len(squares), 64)]
        return np.concatenate(parts)[:, 0]

    def _log(self, entry: dict) -> None:
        entry = {"time": round(time.time(), 1), **entry}
        line = json.dumps(entry)
        self.report(entry)
        with (self.folder / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _save(self) -> None:
        state = {
            "step": self.step,
            "student": self.student.state_dict(),
            "average": self.average.state_dict(),
        }
        state |= {"projections": self.projections.state_dict(), "optimiser": self.optimiser.state_dict()}
        if self.teacher:
            state["statistics"] = self.teacher.statistics
        state["run"] = {"recipe": self.recipe.to_json(), "schedule": asdict(self.schedule)}
        with atomic_write(self.folder / "checkpoint.pt") as temporary:
            torch.save(state, temporary)

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.step = state["step"]
        self.student.load_state_dict(state["student"])
        self.average.load_state_dict(state["average"])
        self.projections.load_state_dict(state["projections"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.teacher:
            self.teacher.statistics = [tuple(pair) for pair in state["statistics"]]


def _resized(taught: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return a teacher's map (n, C, h, w) at the size of the student's."""
    if taught.shape[2:] == like.shape[2:]:
        return taught
    return F.interpolate(taught, like.shape[2:], mode="bilinear", align_corners=False, antialias=True)
