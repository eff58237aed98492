from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fracture_core.paths import RECIPES
from fracture_core.pretraining.plan import Plan, PretrainingError
from fracture_core.recipe import Augmentation, Recipe, RecipeError

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.text(max_size=5), LEAVES, max_size=3)
NAMES = [field.name for field in dataclasses.fields(Recipe)]
SOUND = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["a", "densenet-320.v2"]),
        "image_size": st.sampled_from([32, 224, 1024]),
        "localiser": st.sampled_from([0, 4, 128]),
        "dropout": st.floats(0, 0.9),
        "trainable_blocks": st.none() | st.integers(0, 5) | st.floats(0, 1),
        "loss": st.sampled_from(["cross_entropy", "focal"]),
        "learning_rate": st.floats(1e-8, 1),
        "epochs": st.integers(1, 10_000),
        "early_stopping": st.none() | st.integers(1, 9),
        "test_time_views": st.sampled_from([("plain",), ("plain", "flip")]),
        "test_time_sizes": st.just(()),
        "augmentation": st.builds(Augmentation, rotation=st.floats(0, 180), horizontal_flip=st.booleans()),
    }
)


@given(SOUND)
def test_a_recipe_survives_json(choices):
    recipe = Recipe(**choices)
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@given(st.dictionaries(st.sampled_from([*NAMES, "learning-rate"]), VALUES, max_size=4) | VALUES)
def test_wild_data_is_a_recipe_or_a_sentence(data):
    if isinstance(data, dict):
        data = {"name": "wild"} | data
    try:
        recipe = Recipe.from_json(data)
    except RecipeError as error:
        assert str(error).endswith(".")
    else:
        assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("choice", "value", "word"),
    [
        ("image_size", 100, "multiple of 32"),
        ("image_size", 224.0, "whole number"),
        ("epochs", 0, "from 1"),
        ("epochs", "3", "whole number"),
        ("dropout", True, "a number"),
        ("learning_rate", math.nan, "from 1e-08"),
        ("loss", "hinge", "cross_entropy, focal"),
        ("backbone", "vgg16", "densenet121"),
        ("box_weight", 0.5, "localiser"),
        ("localiser", 6, "multiple of 4"),
        ("fast_path", True, "trainable_blocks"),
        ("trainable_blocks", 1.5, "whole number"),
        ("test_time_views", (), "plain, flip"),
        ("test_time_views", ("zoom",), "plain, flip"),
        ("test_time_sizes", (100,), "multiples of 32"),
        ("test_time_sizes", (224,), "below image_size"),
        ("test_time_sizes", ("96",), "multiples of 32"),
        ("name", "../up", "cannot be used as a name"),
        ("seed", -1, "from 0"),
        ("augmentation", {"rotation": 10}, "an object"),
    ],
)
def test_a_choice_that_makes_no_sense_is_named(choice, value, word):
    with pytest.raises(RecipeError, match=word) as caught:
        Recipe(**{"name": "x", choice: value})
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "288 x 288 pixels"),
        ({"test_time_views": ("plain", "flip")}, "288 x 288 pixels, as it is and mirrored,"),
        ({"test_time_sizes": (256, 224)}, "288 x 288 and 256 x 256 and 224 x 224 pixels"),
    ],
)
def test_says_how_a_radiograph_is_read(changes, words):
    assert Recipe(name="one", image_size=288, **changes).reading == words


def test_augmentation_is_checked_too():
    with pytest.raises(RecipeError, match="zoom"):
        Augmentation(zoom=1.5)
    with pytest.raises(RecipeError, match="horizontal_flip"):
        Augmentation(horizontal_flip=1)


def test_augmentation_knows_whether_it_changes_anything():
    assert not Augmentation(nearest_fill=True).active
    assert Augmentation(noise=1.0).active


def test_replace_names_what_is_no_choice():
    assert Recipe(name="x").replace(epochs=3).epochs == 3
    with pytest.raises(RecipeError, match="no setting epoch"):
        Recipe(name="x").replace(epoch=3)


def test_replace_takes_plain_data():
    recipe = Recipe(name="x", test_time_views=("plain", "flip"), augmentation=Augmentation(noise=2.0, zoom=0.3))
    assert recipe.replace(test_time_views=["plain", "flip"]) == recipe
    assert recipe.replace(test_time_sizes=[96]).test_time_sizes == (96,)
    one = recipe.replace(**{"augmentation.zoom": 0.1}).augmentation
    assert one == Augmentation(noise=2.0, zoom=0.1)
    assert recipe.replace(augmentation={"zoom": 0.1}).augmentation == Augmentation(zoom=0.1)
    both = recipe.replace(**{"augmentation.noise": 3, "augmentation": {"zoom": 0.1}, "epochs": 2})
    assert (both.augmentation, both.epochs) == (Augmentation(zoom=0.1, noise=3), 2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test_time_sizes": None}, "test_time_sizes is None; it must be a list"),
        ({"test_time_sizes": 96}, "test_time_sizes is 96; it must be a list"),
        ({"test_time_views": 3}, "test_time_views is 3; it must be a list"),
        ({"test_time_views": "flip"}, "test_time_views is 'flip'; it must be a list"),
        ({"test_time_views": [["plain"]]}, "use some of plain, flip"),
        ({"epochs": [3]}, r"epochs is \[3\]; it must be a whole number"),
        ({"augmentation": None}, "augmentation is None; it must be an object"),
        ({"augmentation": {"warp": 1}}, "The augmentation has no setting warp"),
        ({"augmentation": {"zoom": 2}}, "zoom is 2; it must be a number from 0 to 0.9"),
        ({"augmentation.zoom": 2}, "zoom is 2; it must be a number from 0 to 0.9"),
        ({"augmentation.warp": 1}, "The augmentation has no setting warp"),
    ],
)
def test_plain_data_that_makes_no_sense_is_named(changes, words):
    with pytest.raises(RecipeError, match=words):
        Recipe(name="x").replace(**changes)
    if not any("." in key for key in changes):
        with pytest.raises(RecipeError, match=words):
            Recipe.from_json({"name": "x", **changes})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 200_000, "cannot be read .it is nested too deeply"),
        ('{"name": "a", "seed": ' + "1" * 5000 + "}", "cannot be read .a number in it is too long"),
        ('{"name": "x", "warp": 1}', "In this version a recipe has no setting warp"),
    ],
)
def test_a_file_that_is_no_recipe_says_why(tmp_path, text, words):
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(RecipeError, match=words):
        Recipe.load(tmp_path / "odd.json")
    if "warp" not in text:
        with pytest.raises(PretrainingError, match=words):
            Plan.load(tmp_path / "odd.json")


def test_plans_are_not_offered_as_recipes():
    with pytest.raises(RecipeError, match=r"available: default, densenet121-fracatlas, reference[.]"):
        Recipe.load("no-such-recipe")
    with pytest.raises(RecipeError, match="'pretrain' is a plan for pre-training, not a recipe"):
        Recipe.load("pretrain")


def test_files_that_are_no_recipe_are_told_apart(tmp_path):
    with pytest.raises(RecipeError, match=r"available: .*reference"):
        Recipe.load("no-such-recipe")
    for name, text in (("half", '{"name": '), ("list", "[]"), ("new", '{"name": "x", "warp": 1}')):
        (tmp_path / f"{name}.json").write_text(text)
        with pytest.raises(RecipeError):
            Recipe.load(tmp_path / f"{name}.json")


def test_the_reference_recipe_is_what_the_study_wrote():
    recipe = Recipe.load("reference")
    assert (recipe.backbone, recipe.start, recipe.image_size) == ("densenet121", "imagenet", 224)
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (25, 32, 1e-4)
    assert (recipe.loss, recipe.monitor, recipe.early_stopping) == ("cross_entropy", "loss", 5)
    assert (recipe.schedule, recipe.class_balance, recipe.weight_decay) == ("constant", "none", 0)
    assert (recipe.trainable_blocks, recipe.localiser, recipe.leak_free) == (None, 0, False)
    assert recipe.augmentation == Augmentation(
        rotation=10, shift=0.1, shear=0.1, zoom=0.2, horizontal_flip=True, nearest_fill=True
    )


def test_our_recipe_starts_offline_and_takes_the_fast_path():
    recipe = Recipe.load("default")
    assert recipe.start.startswith("bundle:") and recipe.fast_path and recipe.leak_free
    assert recipe.box_weight and recipe.localiser


def test_every_recipe_file_can_be_read():
    for path in RECIPES.glob("*.json"):
        if "recipe" not in json.loads(path.read_text()):  # plans for pre-training hold one inside
            assert Recipe.load(path).name == path.stem
