"""Recognise the body part in a DICOM header, in the terms of the standard and of devices.

The terms are those of DICOM PS3.16, annex L (Body Part Examined), that name a limb or a girdle; words of other
languages are common because many devices let a site type its own.
"""

from __future__ import annotations

import re
import unicodedata

#: The girdles, of which FracAtlas shows few, in DICOM's terms, as devices write them, and in other languages, accents
#: taken off.
_GIRDLES = {
    "hip": frozenset("HIP HIPS PELVIS ACETABULUM BECKEN HUFTE BASSIN HANCHE CADERA BACINO ANCA QUADRIL HEUP".split()),  # noqa: SIM905
    "shoulder": frozenset(
        """
        ACJOINT ACROMIOCLAVICULAR ACROMION CLAVICLE CLAVICULA GLENOHUMERAL SCAPULA SCJOINT SHOULDER SHOULDERS SCHULTER
        SCHLUSSELBEIN EPAULE CLAVICULE OMOPLATE HOMBRO SPALLA OMBRO SCHOUDER
        """.split()  # noqa: SIM905 (a list of names reads better as words)
    ),
}
#: The girdles and all other limbs, likewise.
_LIMBS = frozenset().union(*_GIRDLES.values()) | frozenset(
    """
    ANKLE ARM ARMS CALCANEUS CALCANEUM CALF CARPAL CARPUS CUBITUS DIGIT ELBOW EXTREMITY EXTREMITIES FEMUR FEMORA FIBULA
    FINGER FINGERS FOOT FEET FOREARM FOREFOOT HALLUX HAND HANDS HEEL HINDFOOT HUMERUS KNEE KNEES LEG LEGS LIMB LIMBS
    LOWERLEG LOWERLIMB LOWEREXTREMITY METACARPAL METACARPUS METATARSAL METATARSUS MIDFOOT OLECRANON PATELLA PHALANX
    RADIUS RADIUSULNA SCAPHOID SESAMOID TALUS TARSAL TARSUS THIGH THUMB TIBFIB TIBIA TIBIAFIBULA TOE TOES ULNA UPPERARM
    UPPERLIMB UPPEREXTREMITY UPPERLEG WRIST WRISTS
    HANDGELENK UNTERARM OBERARM ELLENBOGEN KNIE OBERSCHENKEL UNTERSCHENKEL SPRUNGGELENK FUSS FERSE ZEHE DAUMEN MAIN
    DOIGT POUCE POIGNET COUDE BRAS CUISSE GENOU JAMBE CHEVILLE PIED TALON ORTEIL MANO DEDO MUNECA ANTEBRAZO CODO BRAZO
    MUSLO RODILLA PIERNA TOBILLO PIE POLSO GOMITO GINOCCHIO GAMBA CAVIGLIA PIEDE DITO PUNHO COTOVELO JOELHO TORNOZELO
    POLS ELLEBOOG ENKEL VOET
    """.split()  # noqa: SIM905 (a list of names reads better as words)
)
#: Words that say nothing about the body part.
_SILENT = frozenset({"", "UNKNOWN", "OTHER", "NONE", "NA", "UNSPECIFIED", "ANY", "DEFAULT", "BONE", "SKELETON"})
#: Limbs that are looked for within longer words ("RWRISTAP"); shorter names occur in unrelated words.
_WITHIN_WORDS = frozenset({name for name in _LIMBS if len(name) > 4}) | {
    *("FOOT", "FUSS", "HAND", "KNEE", "KNIE"),
}
#: What is no limb although a limb's name is part of it.
_NOT_LIMBS = re.compile("HIPPO|FOREHEAD|WHOLEBODY|SKULL|SPINE|CHEST|RIB|ABDOMEN")


def is_limb(part: str) -> bool | None:
    """Return whether a BodyPartExamined value names a limb, a shoulder or a hip.

    Args:
        part: The header's text, in any case, with or without a side and a view ("PATELLA", "Lt wrist PA").

    Returns:
        True for a limb or girdle, False for anything else, None where the text says nothing.

    Example:
        >>> is_limb("TIBFIB"), is_limb("CHEST"), is_limb("")
        (True, False, None)
    """
    words = re.findall(r"[^\W\d_]+", _without_accents(part).upper())
    squashed = "".join(words)
    if squashed in _SILENT:
        return None
    if squashed in _LIMBS:
        return True
    if _NOT_LIMBS.search(squashed):
        return False
    return not _LIMBS.isdisjoint(words) or any(limb in squashed for limb in _WITHIN_WORDS)


def girdle(part: str) -> str:
    """Return which girdle a BodyPartExamined value names.

    Args:
        part: The header's text, in any case, with or without a side and a view.

    Returns:
        "hip", "shoulder" or "".

    Example:
        >>> girdle("Left CLAVICLE AP"), girdle("KNEE")
        ('shoulder', '')
    """
    words = re.findall(r"[^\W\d_]+", _without_accents(part).upper())
    return next((name for name, terms in _GIRDLES.items() if not terms.isdisjoint([*words, "".join(words)])), "")


def _without_accents(words: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", words) if not unicodedata.combining(c))
