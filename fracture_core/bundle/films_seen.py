"""What a bundle's record says of the films that it has seen: a user's own, and images of FracAtlas among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fracture_core.bundle.bundle import Bundle
from fracture_core.data.combined.dataset import is_site
from fracture_core.data.dataset import dataset_name
from fracture_core.data.fracatlas import FracAtlas


def is_of_fracatlas(bundle: Bundle) -> bool:
    """Return whether a bundle was trained on FracAtlas, alone or beside a site's films.

    Args:
        bundle: The bundle.

    Returns:
        Whether it was.
    """
    provenance = bundle.manifest.get("provenance", {})
    return bool(provenance.get("sources")) or dataset_name(provenance) == FracAtlas.name


def known_copies(bundle: Bundle) -> Mapping[str, Sequence[str]] | None:
    """Return which of the films that a bundle was made from show an image of FracAtlas.

    Args:
        bundle: The bundle.

    Returns:
        Ids in FracAtlas by a film's short digest; None if nobody looked.
    """
    provenance = bundle.manifest.get("provenance", {})
    copies = provenance.get("fracatlas_copies")
    if isinstance(copies, Mapping):
        return copies
    # Beside FracAtlas the films that it has too were left out of a site's.
    return {} if provenance.get("sources") and bundle.recipe.leak_free else None


def films_seen(bundle: Bundle, films: Mapping[str, str], copies: Mapping[str, Sequence[str]]) -> set[str] | None:
    """Return which films a bundle has trained or validated with.

    An image of FracAtlas counts as seen unless the bundle was tested on it, and on all that show the same.

    Args:
        bundle: The bundle.
        films: Short digest of each film, by id.
        copies: What `known_copies` says of these films.

    Returns:
        Ids of films; None if its record does not say.
    """
    provenance = bundle.manifest.get("provenance", {})
    if "films_seen" not in provenance and not is_of_fracatlas(bundle):
        return None
    digests = set(str(provenance.get("films_seen", "")).split())
    seen = {image_id for image_id, digest in films.items() if digest in digests}
    if is_of_fracatlas(bundle) and copies:
        table = bundle.predictions()
        tested = set(table.loc[(table["split"] == "test") & ~table["image_id"].map(is_site), "image_id"])
        seen |= {image_id for image_id, digest in films.items() if not tested.issuperset(copies.get(digest, ()))}
    return seen


def seen_of_fracatlas(bundle: Bundle) -> set[str] | None:
    """Return which images of FracAtlas a bundle has seen that was trained on a user's own films alone.

    Args:
        bundle: The bundle.

    Returns:
        Ids of FracAtlas; None if that is not known.
    """
    copies, seen = known_copies(bundle), bundle.manifest.get("provenance", {}).get("films_seen")
    if copies is None or seen is None:
        return None
    return {image_id for digest in str(seen).split() for image_id in copies.get(digest, ())}


def unknown_copies(owner: str, trained: str) -> str:
    """Say that nobody knows whether a user's own films are images of FracAtlas.

    Args:
        owner: The bundle that was trained on these films.
        trained: The bundle that may therefore have seen test images.

    Returns:
        Two sentences.
    """
    return (
        f"Whether films that {owner} was trained or tested on are images of FracAtlas was not looked up: that takes "
        f"FracAtlas on this computer at the time. {trained} may have been trained on some of these test images."
    )
