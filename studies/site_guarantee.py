"""Compare what a site calibration promises with what is found; write docs/site_guarantee.md.

One FracAtlas body part plays the site. Its films get another contrast and scale, as another hospital's would have, and
are scored by the bundle. Many samples of films are then drawn from them; each is calibrated as a site would be, and
the promises are held against the whole part, whose shares are known exactly.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from fracture_core.bundle.bundle import Bundle
from fracture_core.cli.common import bar
from fracture_core.cli.exit_status import exit_status
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.evaluation.site_calibration import SiteCalibration, calibrate_site
from fracture_core.files import write_text
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import Predictor, load_predictor

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "site_guarantee.md"


def main() -> None:
    """Score the site, draw the samples, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default=None)
    parser.add_argument("--part", default="leg")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--films", type=int, default=1000, help="labelled films of each draw")
    parser.add_argument("--alpha", type=float, default=0.02)
    parser.add_argument("--beta", type=float, default=0.7)
    parser.add_argument("--confidence", type=float, default=0.9)
    asked = parser.parse_args()
    predictor = load_predictor(asked.bundle)
    site = score_site(predictor, FracAtlas(find_fracatlas()), asked.part)
    drawn = [
        draw(predictor.bundle, site, asked.films, seed, asked.alpha, asked.beta, asked.confidence)
        for seed in range(asked.draws)
    ]
    text = page(predictor.bundle, site, drawn, asked)
    print(text)
    write_text(DOCUMENT, text)


def altered(pixels: np.ndarray) -> np.ndarray:
    """Return a film as another hospital's: uint8 (H, W), three quarters of the size, darker, flatter in contrast."""
    small = cv2.resize(pixels, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    return (255 * (0.08 + 0.8 * (small / 255.0) ** 1.3)).round().astype(np.uint8)


def score_site(predictor: Predictor, dataset: FracAtlas, part: str) -> pd.DataFrame:
    """Score the part's validation and test films, altered: image_id, label, logit; those not assessed are left out."""
    known = predictor.bundle.predictions()
    ids = known[known[part] > 0]["image_id"].tolist()
    progress, rows = bar("scoring"), []
    for done, image_id in enumerate(ids, 1):
        pixels = altered(read_radiograph(dataset.path(image_id), accept_cut_short=True).pixels)
        done_png, data = cv2.imencode(".png", pixels)
        if not done_png:
            raise RuntimeError(f"{image_id} cannot be encoded")
        finding = predictor.predict(read_radiograph(data.tobytes(), name=f"{image_id}.png"))
        if finding.assessed:
            rows.append((image_id, int(dataset.table.at[image_id, "label"]), finding.logit))
        progress(done, len(ids))
    return pd.DataFrame(rows, columns=["image_id", "label", "logit"])


def draw(
    bundle: Bundle, site: pd.DataFrame, films: int, seed: int, alpha: float, beta: float, confidence: float
) -> SiteCalibration:
    """Calibrate to films drawn from the site with replacement, so that the site's own shares are the truth."""
    sample = site.sample(films, replace=True, random_state=seed)
    return calibrate_site(
        bundle,
        sample["image_id"].tolist(),
        sample["label"].to_numpy(),
        sample["logit"].to_numpy(),
        [""] * films,
        name="site",
        alpha=alpha,
        beta=beta,
        confidence=confidence,
        seed=seed,
    )


def true_share(bundle: Bundle, site: pd.DataFrame, group: str, threshold: float) -> float:
    """Return the fractured share of the whole site's films in a group; nan if it is empty."""
    probability = np.asarray(bundle.probability(site["logit"].to_numpy()))
    inside = probability < threshold if group == "unlikely" else probability >= threshold
    return float(site["label"].to_numpy()[inside].mean()) if inside.any() else float("nan")


def page(bundle: Bundle, site: pd.DataFrame, drawn: list[SiteCalibration], asked: argparse.Namespace) -> str:
    """Return the page in Markdown."""
    lines = [
        "# Promised and found: calibrating to a site",
        "",
        f"Written by `python -m studies.site_guarantee`, with `{bundle.version}`.",
        "",
        f"The site is FracAtlas's {asked.part} films of validation and test, with contrast and scale changed: "
        f"{len(site)} assessed films, {int(site['label'].sum())} fractured. {len(drawn)} draws of {asked.films} films "
        f"with replacement, each calibrated by itself; confidence of each promise {asked.confidence:.0%}.",
        "",
        "| group | promised share of fractures | draws in which it was promised | broken, of those | allowed "
        "| mean share found | mean share of films in the group |",
        "|---|---|---|---|---|---|---|",
    ]
    probability = np.asarray(bundle.probability(site["logit"].to_numpy()))
    for group, wish in (("unlikely", asked.alpha), ("likely", asked.beta)):
        thresholds = [
            t for d in drawn if (t := (d.unlikely if group == "unlikely" else d.likely).threshold) is not None
        ]
        shares = np.array([true_share(bundle, site, group, t) for t in thresholds])
        broken = int((shares > wish).sum() if group == "unlikely" else (shares < wish).sum())
        sizes = [np.mean(probability < t) if group == "unlikely" else np.mean(probability >= t) for t in thresholds]
        words = "at most" if group == "unlikely" else "at least"
        cells = (group, f"{words} {wish:.0%}", len(thresholds), broken, f"{(1 - asked.confidence) * len(drawn):.0f}")
        means = [f"{np.nanmean(v):.1%}" if len(v) else "-" for v in (shares, np.array(sizes))]
        lines.append("| " + " | ".join(map(str, (*cells, *means))) + " |")
    lines += [
        "",
        "*Allowed* counts all draws: where nothing can be promised, nothing is, and no promise is broken.",
        "",
        "A research demonstrator. Not a medical device; not for diagnosis.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
