"""The card's front matter says what scikit-learn says, and can be taken off again."""

from __future__ import annotations

import json
import re

import pytest
from sklearn import metrics as sk

from fracture_core.bundle.card_metadata import front_matter, sections, without_front_matter
from tests.support.predictions import like_the_test_set


def test_front_matter_is_yaml_with_scikit_learns_figures():
    table = like_the_test_set().table
    text = front_matter('odd: "name"', "densenet121", "FracAtlas", table, 0.3)
    before, block, rest = text.split("---\n")
    assert before == rest == ""
    assert json.loads(re.search(r"^- name: (.*)$", block, re.MULTILINE)[1]) == 'odd: "name"'
    found = {
        kind: float(value) for kind, value in re.findall(r"- \{type: (\w+), name: \"[^\"]+\", value: ([\d.]+)\}", block)
    }
    truth, scores = table["label"], table["probability"]
    assert found == pytest.approx(
        {
            "roc_auc": sk.roc_auc_score(truth, scores),
            "average_precision": sk.average_precision_score(truth, scores),
            "sensitivity": sk.recall_score(truth, scores >= 0.3),
            "specificity": sk.recall_score(1 - truth, scores < 0.3),
        },
        abs=5e-5,
    )


def test_a_card_is_cut_into_its_sections():
    card = "# Name\n\nIntroduction.\n\n## Figures\n\n- one\n\n## Limits\n\n- two\n"
    with_block = front_matter("name", "densenet121", "FracAtlas", like_the_test_set().table, 0.3) + "\n" + card
    assert without_front_matter(with_block) == card
    for text in (card, with_block):
        assert sections(text) == {"": "# Name\n\nIntroduction.", "Figures": "- one", "Limits": "- two"}
