"""Fit a bundle's scope model and drawing levels again, and with --write put them into the bundle.

    FRACATLAS_DIR=... python -m studies.fit_scope [--bundle NAME] --outsiders FOLDER [--write]

FOLDER has `outside/`, one folder a kind of image that is no limb radiograph, and may have `limbs/`, further limb
radiographs; docs/scope.md says which images the shipped bundles were fitted on and under which licences. The network,
its logits, its calibration and its thresholds stay as they are; what the heatmaps point at is computed again. If
FRACTURE_ELSEWHERE_DIR is set, the bundle is measured on the films in it. Ten minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import pandas as pd
from safetensors.numpy import load, save_file

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import DEFAULT_BUNDLE, load_bundle
from fracture_core.bundle.manifest import install
from fracture_core.data.audit import audit
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.data.split import Split, project_split
from fracture_core.evaluation.predictions_csv import predict_split
from fracture_core.files import atomic_write
from fracture_core.inference.predictor import Predictor
from fracture_core.training.bundle_features import fit_levels, seal
from fracture_core.training.scope_fit import ScopeFit, fit_scope


def refit(bundle: Bundle, dataset: FracAtlas, split: Split, fitted: ScopeFit, folder: Path) -> None:
    """Write the bundle with a new scope model, new drawing levels and new columns of heatmaps into `folder`."""
    shutil.copytree(bundle.folder, folder, dirs_exist_ok=True)
    predictor = Predictor(bundle)
    scored, held = predict_split(predictor.scorer, predictor.head, dataset, split)
    old = pd.read_csv(folder / "predictions.csv", dtype={"image_id": str, "split": str})
    old = old[[name for name in old if not name.startswith("hit_") and name not in ("boxes", "found_boxes")]]
    new = [name for name in scored if name.startswith("hit_") or name in ("boxes", "found_boxes")]
    levels = fit_levels(scored, held)
    table = old.merge(scored[["image_id", *new]], on="image_id", validate="one_to_one")
    if len(table) != len(old):
        raise SystemExit("The dataset lacks images that the bundle was scored on.")
    with atomic_write(folder / "predictions.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    before = load((folder / "features.safetensors").read_bytes())
    old = ("scope/", "full_colour/", "box_levels")
    features = {name: array for name, array in before.items() if not name.startswith(old)}
    with atomic_write(folder / "features.safetensors") as temporary:
        save_file(features | levels | fitted.model.to_arrays(), temporary)
    provenance = {**bundle.manifest["provenance"], "scope": fitted.record()}
    seal(folder, bundle.name, bundle.recipe, table, bundle.temperature, bundle.created, provenance)


def main() -> int:
    """Fit, print what is known of the fit, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default=DEFAULT_BUNDLE)
    parser.add_argument("--outsiders", type=Path, required=True)
    parser.add_argument("--root", type=Path, help="the bundles' folder; default: the one in use")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    bundle, dataset = load_bundle(options.bundle, options.root), FracAtlas(find_fracatlas())
    split = project_split(dataset, audit(dataset))
    fitted = fit_scope(Predictor(bundle).scorer, [dataset.path(i) for i in split.train], options.outsiders)
    print(bundle.version)
    for name, count in fitted.fitted_on.items():
        print(f"  fitted on {count:5} {name}")
    for name, share in fitted.held_out.items():
        print(f"  held out: {name} {share:.3f}")
    if options.write:
        root = bundle.folder.parent
        with tempfile.TemporaryDirectory(prefix=".refit-", dir=root) as temporary:
            folder = Path(temporary) / bundle.name
            refit(bundle, dataset, split, fitted, folder)
            install(folder, bundle.name, root)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
