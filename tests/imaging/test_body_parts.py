"""Body parts: the terms of DICOM PS3.16, annex L, and what people type in their place."""

from __future__ import annotations

import pytest

from fracture_core.imaging.body_parts import _GIRDLES, girdle, is_limb

#: The terms of the standard that name bones and joints of limbs and girdles.
LIMBS = (
    *("ACJOINT", "ANKLE", "ARM", "CALCANEUS", "CLAVICLE", "ELBOW", "EXTREMITY", "FEMUR", "FINGER", "FOOT", "FOREARM"),
    *("HAND", "HIP", "HUMERUS", "KNEE", "LEG", "PATELLA", "PELVIS", "RADIUS", "RADIUSULNA", "SCAPULA", "SHOULDER"),
    *("THIGH", "THUMB", "TIBFIB", "TOE", "ULNA", "WRIST", "METACARPUS", "METATARSUS", "LOWERLEG", "UPPERLIMB"),
)
OTHERS = (
    *("ABDOMEN", "ABDOMENPELVIS", "BREAST", "CHEST", "CSPINE", "HEAD", "JAW", "LSPINE", "NECK", "RIB", "SKULL"),
    *("SPINE", "STERNUM", "TSPINE", "WHOLEBODY", "ZYGOMA", "SIJOINT", "MAXILLA", "ORBIT", "HEART"),
)


@pytest.mark.parametrize("term", LIMBS)
def test_limbs_are_known_by_dicoms_terms(term: str) -> None:
    assert is_limb(term) is True and is_limb(term.lower()) is True


@pytest.mark.parametrize("term", OTHERS)
def test_other_parts_are_not_taken_for_limbs(term: str) -> None:
    assert is_limb(term) is False


@pytest.mark.parametrize("words", ["Lt wrist PA", "RHAND", "WRIST_AP", "Knie re.", "Hüfte", "épaule", "RODILLA D"])
def test_what_people_type_is_understood(words: str) -> None:
    assert is_limb(words) is True


@pytest.mark.parametrize("words", ["", "UNKNOWN", "Other", " - "])
def test_words_that_say_nothing_say_nothing(words: str) -> None:
    assert is_limb(words) is None


def test_girdles_are_limbs_too_and_have_a_name() -> None:
    for name, terms in _GIRDLES.items():
        assert all(is_limb(term) and girdle(f"rt {term} AP") == name for term in terms)
    assert girdle("hanche droite") == "hip" and girdle("Épaule") == "shoulder"
    assert {girdle(word) for word in ("", "HAND", "CHEST", "HIPPOCAMPUS", "unknown")} == {""}
