"""The form of a recipe's choices."""

from __future__ import annotations

import pytest

from fracture_core.recipe import Recipe, RecipeError
from fracture_core.training.recipe_fields import FRONT, choices, setting_label, setting_value, with_values


@pytest.mark.parametrize("name", ["default", "reference", "densenet121-fracatlas"])
def test_a_form_holds_every_choice_of_a_recipe(name):
    recipe = Recipe.load(name)
    offered = choices(recipe)
    assert with_values(recipe, {one.key: one.value for one in offered}) == recipe
    assert tuple(one.key for one in offered[: len(FRONT)]) == FRONT
    numbers = [one for one in offered if one.kind in ("whole", "number")]
    assert all(one.low <= one.value <= one.high for one in numbers if one.value is not None)
    kinds = {"whole": int, "number": float}
    assert all({type(n) for n in (one.low, one.value, one.high)} <= {kinds[one.kind], type(None)} for one in numbers)
    with pytest.raises(RecipeError, match="must be a multiple of 32"):
        with_values(recipe, {"image_size": 100})


@pytest.mark.parametrize("name", ["default", "reference", "densenet121-fracatlas"])
def test_settings_are_shown_in_words(name):
    data = Recipe.load(name).to_json()
    data |= {f"augmentation.{key}": value for key, value in data.pop("augmentation").items()}
    shown = {key: (setting_label(key), setting_value(key, value)) for key, value in data.items()}
    for key, (label, value) in shown.items():
        assert "_" not in label + value and label[0].isupper(), key
        assert value and value not in ("None", "True", "False", "nan") and not set("[]'\"") & set(value), key
    assert shown["augmentation.horizontal_flip"][0] == "Augmentation: horizontal flip"
    assert setting_value("trainable_blocks", None) == "all" and setting_value("learning_rate", 1e-4) == "0.0001"
    assert setting_value("start", "bundle:my_model") == "bundle:my_model"  # a name stays as it is
