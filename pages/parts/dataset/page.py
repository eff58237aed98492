"""The dataset page: one section at a time, so that none slows another down."""

from __future__ import annotations

from fracture_core.bundle.loading import list_bundles
from fracture_core.data.fracatlas import DatasetError
from fracture_core.paths import models_folder
from pages.parts.dataset.audit_section import defects, watch_audit
from pages.parts.dataset.cache import sources, thumbnails_work
from pages.parts.dataset.composition import makeup
from pages.parts.dataset.download import offer_download
from pages.parts.dataset.grid import browse
from pages.parts.dataset.image_view import close_image, opened, show_image
from pages.parts.dataset.localisation import localisation
from pages.parts.dataset.map_section import map_of_images
from pages.parts.dataset.misclassified import wrong
from pages.parts.dataset.one_of import one_of
from pages.parts.dataset.rail import BROWSE
from pages.parts.dataset.suspects_section import suspects
from pages.parts.review.dataset import review_shown
from pages.parts.shared.predictor_cache import loading
from pages.parts.shared.sidebar import choose

MAKEUP, AUDIT, WRONG, POINTING = "Composition", "Data audit", "Misclassified", "Localisation accuracy"
MAP, SUSPECTS = "Map", "Suspect labels"


def dataset_page() -> None:
    """Draw the section that the address names; where FracAtlas is missing, how to get it."""
    # Without a model there is still a dataset to look through.
    choice = choose() if list_bundles(models_folder()) else None
    if review_shown():
        return
    try:
        known = sources(choice.bundle if choice else None)
    except DatasetError as error:
        offer_download(str(error))
        return
    if choice is not None:
        loading(choice.bundle)
        known = known.on_scale(choice.rule_in.scale)
    sections = [BROWSE, MAKEUP, MAP, AUDIT, SUSPECTS, WRONG, POINTING]
    section = one_of("Section", sections, "show", on_change=close_image, collapsed=True)
    watch_audit(known)
    thumbnails_work(known.key)
    image_id = opened(known)
    if section == BROWSE:
        browse(known, choice, image_id)
    elif image_id is not None:
        show_image(known, choice, image_id, [])
    elif section == MAKEUP:
        makeup(known)
    elif section == MAP:
        map_of_images(known, choice)
    elif section == SUSPECTS:
        suspects(known, choice)
    elif section == AUDIT:
        defects(known)
    elif section == WRONG:
        wrong(known, choice)
    else:
        localisation(known)
