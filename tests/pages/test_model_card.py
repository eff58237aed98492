"""The model card page without a browser."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

from fracture_core.reporting.finding_text import DISCLAIMER

ROOT = Path(__file__).parents[2]


def test_the_model_card_page_shows_card_figures_and_limits(small_models, monkeypatch):
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(small_models))
    app = AppTest.from_file(str(ROOT / "pages" / "model_card.py"), default_timeout=120).run()
    assert not app.exception
    said = "\n".join(str(one.value) for kind in ("markdown", "caption") for one in app.get(kind))
    assert "Where it must not be trusted" in said
    assert "## Limits" in said
    assert DISCLAIMER in said
    assert app.table[0].value["Category"].tolist() == ["Fracture unlikely", "Indeterminate", "Fracture likely"]
