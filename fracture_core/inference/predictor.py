"""Assess a radiograph: the single entry point for pages and the command line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.display_levels import DisplayLevels
from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.usual_ranges import grey_statistics
from fracture_core.errors import FractureCoreError
from fracture_core.explain.boxes import BOXES_FROM
from fracture_core.explain.evidence_head import EvidenceHead
from fracture_core.explain.heatmap_methods import METHODS, heatmap
from fracture_core.explain.overlay import FULL_COLOUR
from fracture_core.imaging.letterbox import Placement
from fracture_core.imaging.radiograph import Radiograph, read_radiograph
from fracture_core.inference.assessment import BLANK, not_assessed_reason, not_read
from fracture_core.inference.cautions import all_warnings, cautions, unlike_validated
from fracture_core.inference.engine import ready_engine
from fracture_core.inference.evidence_layer import evidence_head, with_evidence
from fracture_core.inference.marks import MAP_SIDE, Mark, marked
from fracture_core.inference.model_export import served_name
from fracture_core.inference.remote_engine import reading_engine
from fracture_core.inference.scope import INVERTED_WARNING, scope_network, understood
from fracture_core.inference.scorer import AnyEngine, Scorer, scoring_engines
from fracture_core.metrics.operating_points import BELOW, UNLIKELY, OperatingPoint, answer
from fracture_core.metrics.score_scale import ScoreScale
from fracture_core.network.graph import Graph
from fracture_core.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Finding:
    """What the network says of one radiograph, and how far to trust it.

    `probability` is calibrated, 0..1, on the scale of the operating points (the bundle's `own_scale` or a site's), and
    means nothing unless `assessed`. `unfamiliarity` above 1 means unlike the training data, `scope_margin` below 0 no
    limb (None: not made for limbs), `content` is one of CONTENTS, and `monitored` are `Familiarity.monitored`.
    """

    radiograph: Radiograph
    probability: float
    logit: float
    warnings: tuple[str, ...]
    unfamiliarity: float
    traits: frozenset[str]
    bundle: str
    rule_out: OperatingPoint
    rule_in: OperatingPoint
    outputs: Mapping[str, np.ndarray] = field(repr=False)
    placement: Placement = field(repr=False)
    views: Sequence[Mapping[str, np.ndarray]] = field(repr=False)
    head: EvidenceHead = field(repr=False)
    own_scale: ScoreScale = field(repr=False)
    scope_margin: float | None = None
    monitored: tuple[float, ...] = ()
    content: str = ""
    levels: DisplayLevels = field(default_factory=lambda: DisplayLevels(full_colour={}, boxes=None), repr=False)
    default_method: str = "grad-cam"

    def at(self, rule_out: OperatingPoint, rule_in: OperatingPoint) -> Finding:
        """Return the finding at other operating points, with its probability on their scale.

        Args:
            rule_out: The lower operating point.
            rule_in: The upper one; the same for a single threshold.

        Returns:
            The finding.
        """
        scale = rule_in.scale or self.own_scale
        return replace(self, rule_out=rule_out, rule_in=rule_in, probability=float(scale.probability(self.logit)))

    @property
    def turned_back(self) -> bool:
        """Whether the image looked inverted, and its greys were exchanged before it was read."""
        return INVERTED_WARNING in self.radiograph.warnings

    @cached_property
    def not_assessed_reason(self) -> str:
        """Why no result is given, as a sentence; "" if one is."""
        return not_assessed_reason(self.radiograph, self.unfamiliarity, self.scope_margin)

    @property
    def assessed(self) -> bool:
        """Whether the radiograph gets an answer: triage, probability and heatmap."""
        return not self.not_assessed_reason

    @property
    def triage(self) -> str:
        """The answer in words, by `metrics.operating_points.answer`; for an image that gets none `not_read`."""
        if not self.assessed:
            return not_read(self.not_assessed_reason)
        return answer(self.probability, self.rule_out.threshold, self.rule_in.threshold)

    @property
    def methods(self) -> tuple[str, ...]:
        """The heatmap methods that the network can give, the one to be shown first at the front."""
        given = [name for name, method in METHODS.items() if method.available(self.views[0], self.head)]
        return tuple(sorted(given, key=lambda name: name != self.default_method))

    def full_colour(self, method: str) -> float:
        """Return the evidence at which a heatmap has full colour: the bundle's own scale, or the usual one.

        Args:
            method: The heatmap method.

        Returns:
            The evidence.
        """
        return self.levels.full_colour.get(method, FULL_COLOUR[method])

    def marks(self) -> list[Mark]:
        """Return the regions that look fractured, the strongest first.

        Returns:
            Boxes in the radiograph's pixels where evidence reaches the sensitive level; solid ones reach the specific
            level, and the answer itself is that a fracture is likely. None for an image that is not assessed, where
            the answer is that a fracture is unlikely, and from a bundle that has no such levels.
        """
        if not self.assessed or self.levels.boxes is None or self.triage in (BELOW, UNLIKELY):
            return []
        return marked(
            self.heatmap(BOXES_FROM, longest=MAP_SIDE),
            self.radiograph.pixels.shape,
            self.levels.boxes,
            likely=self.probability >= self.rule_in.threshold,
        )

    def heatmap(self, method: str | None = None, *, longest: int | None = None) -> np.ndarray:
        """Return the evidence over the radiograph.

        Args:
            method: One of `methods`; without it the first.
            longest: Make the map no larger than this along its longer side, in pixels. Evidence is smooth, so a
                drawing loses nothing by it.

        Returns:
            float32 (H, W), in the method's units; see `explain.heatmap_methods`.

        Raises:
            HeatmapError: There is no such method, or the network lacks what it needs.
        """
        placement, shape = self.placement.limited(self.radiograph.pixels.shape, longest)
        return heatmap(method or self.methods[0], self.views, self.head, placement, shape)


@dataclass(frozen=True)
class Failure:
    """A file that gave no finding, and why, in a sentence; `truncated` if it can be read as far as it goes."""

    name: str
    error: str
    truncated: bool = False


class Predictor:
    """One loaded bundle; thread-safe, made once and shared."""

    def __init__(self, bundle: Bundle, *, threads: int | None = None):
        self.bundle = bundle
        # Both networks are made ready now, beside each other, not when the first radiograph is read.
        with ThreadPoolExecutor(1) as beside:
            content = beside.submit(scope_network)
            weights = bundle.weights()

            def engine(graph: Graph, recipe: Recipe) -> AnyEngine:
                local = ready_engine(graph, weights, recipe, threads=threads)
                return reading_engine(local, served_name(bundle, recipe.image_size))

            whole, smaller = scoring_engines(with_evidence(bundle.graph), bundle.recipe, engine)
            content.result()
        bundle.check_features(whole.shapes)
        self.head = evidence_head(bundle.graph, weights)
        self.scorer = Scorer(whole, bundle.recipe, smaller)

    @property
    def default_method(self) -> str:
        """The heatmap shown first: whichever points best on the bundle's validation images, Grad-CAM if as well."""
        hits = {method: hits for method, hits in self.bundle.validation_hits.items() if method in METHODS}
        return max(hits, key=lambda method: (hits[method], method == "grad-cam"), default="grad-cam")

    def predict(
        self,
        radiograph: Radiograph,
        *,
        rule_out: OperatingPoint | None = None,
        rule_in: OperatingPoint | None = None,
        greys_as_stored: bool = False,
    ) -> Finding:
        """Assess a radiograph.

        Args:
            radiograph: The radiograph.
            greys_as_stored: Read it as it is, even if its greys look inverted.
            rule_out: The lower operating point; by default the bundle's.
            rule_in: The upper operating point; by default the bundle's.

        Returns:
            The finding.
        """
        rule_out = rule_out or self.bundle.points["rule_out"]
        rule_in = rule_in or self.bundle.points["rule_in"]
        radiograph, shown = understood(radiograph, greys_as_stored=greys_as_stored)
        square, placement = self.scorer.fit(radiograph.pixels)
        scores, views = self.scorer.score_views(square[None])
        outputs = {name: values[0] for name, values in scores.items()}
        logit, own_scale = float(outputs["logit"]), ScoreScale(self.bundle.temperature)
        monitored = tuple(self.bundle.familiarity.monitored(outputs["appearance"])[0].tolist())
        traits = self.bundle.traits.of(outputs["embedding"])
        margin = shown.limb if (usual := self.bundle.usual_ranges) else None
        reason = not_assessed_reason(radiograph, monitored[0], margin)
        # What the network seems to see in an image it cannot assess is noise.
        seen = (frozenset(), "") if reason else (traits, shown.content if usual else "")
        doubts = [] if reason == BLANK else list(cautions(radiograph, placement, *seen))
        if usual and not reason and monitored[0] > 1:
            doubts.append(unlike_validated(usual.differences(grey_statistics(square)), self.bundle.external_validation))
        return Finding(
            radiograph=radiograph,
            probability=float((rule_in.scale or own_scale).probability(logit)),
            logit=logit,
            warnings=all_warnings(radiograph, doubts, self.scorer.remark, blank=reason == BLANK),
            unfamiliarity=monitored[0],
            monitored=monitored,
            content=shown.content,
            traits=traits,
            bundle=self.bundle.version,
            rule_out=rule_out,
            rule_in=rule_in,
            outputs=outputs,
            placement=placement,
            views=[{name: values[0] for name, values in view.items()} for view in views],
            head=self.head,
            scope_margin=margin,
            own_scale=own_scale,
            levels=self.bundle.levels,
            default_method=self.default_method,
        )

    def predict_many(
        self,
        sources: Iterable[str | Path | tuple[str, bytes]],
        *,
        accept_cut_short: bool = False,
        frame: int = 0,
        window: int = 0,
        points: tuple[OperatingPoint, OperatingPoint] | None = None,
        greys_as_stored: bool = False,
    ) -> Iterator[Finding | Failure]:
        """Assess files one after the other; an unreadable one gives a Failure and the rest continue.

        Args:
            sources: Paths, or (name, bytes).
            accept_cut_short: As for `read_radiograph`.
            frame: As for `read_radiograph`.
            window: As for `read_radiograph`.
            points: The rule-out and the rule-in point; by default the bundle's.
            greys_as_stored: As for `predict`.

        Yields:
            A finding or a failure per file.
        """
        read = partial(read_radiograph, accept_cut_short=accept_cut_short, frame=frame, window=window)
        for source in sources:
            name, data = source if isinstance(source, tuple) else (Path(source).name, source)
            try:
                finding = self.predict(read(data, name=name), greys_as_stored=greys_as_stored)
                result: Finding | Failure = finding.at(*points) if points else finding
            except FractureCoreError as error:
                result = Failure(name, str(error))
            except MemoryError:
                result = Failure(name, "There is not enough memory to read this file.")
            except Exception as error:  # one file's surprise must not cost the others their findings
                kind = type(error).__name__
                result = Failure(name, f"The file could not be read, for a reason that was not foreseen ({kind}).")
            yield result


def load_predictor(name: str | None = None, root: Path | None = None, *, threads: int | None = None) -> Predictor:
    """Load a bundle and create its predictor.

    Args:
        name: Name of the bundle; by default the one in use.
        root: The folder of the bundles; by default the user's.
        threads: Number of threads, or None.

    Returns:
        The predictor.

    Raises:
        BundleError: The bundle is missing or damaged.
    """
    return Predictor(load_bundle(name, root), threads=threads)
