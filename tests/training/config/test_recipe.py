"""Recipes: TOML into frozen, checked settings."""

from __future__ import annotations

import dataclasses
import json

import pytest

pytest.importorskip("scipy", reason="training needs the extra [eval]")

from kws import models
from kws.errors import ConfigError
from training.config import recipe as recipes
from training.config.recipe import Recipe

RATE_OF_SAMPLES = 'name = "m"\n[frontend]\nkind = "waveform"\nsample_rate'


@pytest.fixture
def written(tmp_path):
    """Write a recipe's text to a file and return its path."""

    def write(text: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.mark.parametrize("name", recipes.names())
def test_every_shipped_recipe_loads(name):
    """
    Each shipped recipe is valid, is named after its file, and comes back from plain tables.
    """
    recipe = recipes.load(name)
    table = json.loads(json.dumps(recipes.to_table(recipe)))

    assert recipe.name == name
    assert recipes.to_table(recipes.from_table(table, where="table")) == table
    assert len(recipe.description) > 10
    assert recipe.frontend.n_frames(recipe.window_samples) >= recipe.model.window_frames


@pytest.mark.parametrize("name", ["tiny", "default", "large"])
def test_the_recipe_in_a_shipped_manifest_loads(name):
    """
    What a shipped model was trained with can be read, and trained, today.
    """
    recipe = recipes.from_table(dict(models.load(name).training["recipe"]), where=name)

    assert name == recipe.name


def test_what_is_missing_has_its_default(written):
    """
    A recipe needs to hold only what differs.
    """
    recipe = recipes.load(written('name = "mine"\n[fit]\nepochs = 3\n'))
    expected = Recipe("mine")

    assert recipe.fit.epochs == 3
    assert dataclasses.replace(recipe, fit=expected.fit) == expected


def test_lists_become_tuples(written):
    """
    Settings are values that nobody can change later.
    """
    recipe = recipes.load(written('name = "mine"\n[data]\nkeywords = ["lamp"]\n'))

    assert recipe.data.keywords == ("lamp",)
    assert recipe.data.labels == ("lamp", "_unknown_", "_silence_")
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.seed = 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "m"\ncolour = 1', r"mine\.toml: unknown key colour; expected some of name"),
        ('name = "m"\n[fit]\nepoch = 1', r"mine\.toml: unknown key fit\.epoch; .*epochs"),
        ('name = "m"\n[data]\nx = 1\ny = 2', r"unknown key data\.x, data\.y"),
        ('name = "m"\nfit = 3', r"fit: expected a table, got 3"),
        ('name = "m"\n[fit]\nepochs = 0', r"toml: fit\.epochs must be at least 1, got 0"),
        ('name = "m"\n[fit]\nepochs = "3"', r"fit\.epochs: expected int, got '3'"),
        ('name = "m"\n[fit]\nepochs = 1.5', r"fit\.epochs: expected int, got 1\.5"),
        ('name = "m"\n[fit]\nepochs = true', r"fit\.epochs: expected int, got True"),
        ('name = "m"\n[fit]\nlearning_rate = "x"', r"learning_rate: expected float, got 'x'"),
        ('name = "m"\n[fit]\nlabel_smoothing = 2', r"label_smoothing must lie in 0\.\.1, got 2"),
        ('name = "m"\n[data]\nclips = 3', r"data\.clips: expected str, got 3"),
        ('name = "m"\n[data]\nkeywords = []', r"keywords must be distinct words, got \(\)"),
        ('name = "m"\n[data]\nkeywords = ["a", "a"]', r"keywords must be distinct words"),
        ('name = "m"\n[data]\nkeywords = "yes"', r"keywords: expected a list of str, got 'yes'"),
        ('name = "m"\n[data]\nunknown_weight = -1', r"unknown_weight must be at least 0, got -1"),
        ('name = "m"\n[data]\ncut_word_share = 0.9', r"half_word_share must be at most 1"),
        ('name = "m"\n[augmentation]\nspeed_range = [1.0]', r"augmentation: "),
        ('name = "m"\n[model]\nparams = 3', r"model\.params: expected Mapping.*, got 3"),
        ('name = "m"\n[frontend]\nstd = 0', r"frontend: std: expected .* got 0"),
        ('name = "m"\n[decision]\nsmoothing_ms = 0', r"decision: smoothing_ms: expected"),
        (f"{RATE_OF_SAMPLES} = 32000", r"training's clips have 16000 Hz; .* got 32000"),
        (f"{RATE_OF_SAMPLES} = 11025", r"16000 Hz or a whole part of it \(8000\), got 11025"),
        ('name = "m"\n[data]\nclasses = ["a", "b"]', r"data\.classes: only a classification"),
        (
            "[augmentation]\nnoise_probability = 1.1",
            r"noise_probability must lie in 0\.\.1",
        ),
        ("[augmentation]\nsnr_db_range = [30.0, 2.0]", r"snr_db_range must be \(low, high\)"),
        ("[augmentation]\nspeed_range = [0.0, 1.0]", r"speed_range must be above 0"),
        ("[augmentation]\ntime_shift_ms = 1500", r"time_shift_ms must lie in 0\.\.1000, got 1500"),
        ("[source]\nkind = 'zip'", r"source\.kind: expected folders or csv .*, got 'zip'"),
        ("[source]\nsplit = 'luck'", r"source\.split: expected random or group or folds"),
        ("[source]\nvalidation_share = 0.0", "validation_share must be above 0"),
        ("[source]\ntesting_share = 0.9", "must leave clips to train"),
        ("[source]\ntesting_folds = [4]", "fold 4 both validates and tests"),
        ("[source]\nturn = -1", r"source\.turn must be at least 0"),
        ("[source]\nkind = 'words'", r"source\.split: .* expected 'lists', got 'random'"),
        ("[words]\nmin_cuts = 0", r"words\.min_cuts must be at least 1, got 0"),
        ("[words]\nmin_word_ms = 1000", r"words\.min_word_ms must lie in 1\.\.999, got 1000"),
        ("[words]\nunknown_share = 1.0", "leave clips of words"),
        ("[words]\nexcluded = ['up', '']", r"words\.excluded must be words"),
        ("[pictures]\nshear = 1.5", r"pictures\.shear must lie in 0\.\.1, got 1\.5"),
        ("[pictures]\nzoom_range = [1.2, 0.8]", r"zoom_range must be \(low, high\) above 0"),
        ("name = ", r"mine\.toml: expected TOML, got"),
    ],
)
def test_nonsense_is_one_clear_error(written, text, message):
    """
    A wrong key or value is named with file and section.
    """
    with pytest.raises(ConfigError, match=message):
        recipes.load(written(text))


def test_a_recipe_changes_what_it_inherits(written):
    """
    `base` names a shipped recipe: sections are merged, `params` replaced as a whole.
    """
    text = 'base = "default"\nseed = 7\n[fit]\nepochs = 3\n[model.params]\nhead_filters = 8\n'
    recipe, base = recipes.load(written(text)), recipes.load("default")

    assert ("mine", 7, 3) == (recipe.name, recipe.seed, recipe.fit.epochs)
    assert base.fit.learning_rate == recipe.fit.learning_rate
    assert (base.data, base.model.name) == (recipe.data, recipe.model.name)
    assert recipe.model.params == {"head_filters": 8}


def test_another_model_inherits_no_params(written):
    """
    Parameters belong to an architecture.
    """
    recipe = recipes.load(written('base = "default"\n[model]\nname = "strided8"\n'))

    assert {} == recipe.model.params


def test_a_file_may_hold_several_recipes(written, tmp_path):
    """
    Each takes the rest of the file and changes some of it; PATH:NAME is one of them.
    """
    path = written(
        "[fit]\nepochs = 9\n[recipes.one]\nseed = 2\nfit = { epochs = 5 }\n"
        "[recipes.two]\nbase = 'one'\nfit = { batch_size = 3 }\n"
    )
    one, two = recipes.load(f"{path}:one"), recipes.load(f"{path}:two")

    assert ("one", 2, 5) == (one.name, one.seed, one.fit.epochs)
    assert ("two", 2, 5, 3) == (two.name, two.seed, two.fit.epochs, two.fit.batch_size)
    with pytest.raises(ConfigError, match=r"mine\.toml: holds several recipes; name one: .*:one"):
        recipes.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[bank]\npath = 'x'", r"bank: renamed to cache"),
        ("[words]\nleft_out = ['up']", r"words\.left_out: renamed to words\.excluded"),
    ],
)
def test_old_keys_name_the_new_ones(written, text, message):
    """
    Keys of release 0.1 are one clear error.
    """
    with pytest.raises(ConfigError, match=message):
        recipes.load(written(text))


def test_an_unknown_recipe_names_the_choices():
    """
    The error lists what ships.
    """
    with pytest.raises(ConfigError, match=r"recipe 'nope': expected one of .*default.* or a .toml"):
        recipes.load("nope")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fit.epochs=3", ("fit.epochs", 3)),
        ("fit.learning_rate = 1e-3", ("fit.learning_rate", 1e-3)),
        ("model.name=ds_cnn", ("model.name", "ds_cnn")),
        ('data.keywords=["a", "b"]', ("data.keywords", ["a", "b"])),
        ("data.clips=/data/a=b", ("data.clips", "/data/a=b")),
        ("data.speech=", ("data.speech", "")),
        ("seed=2", ("seed", 2)),
    ],
)
def test_overrides_are_toml_or_plain_text(text, expected):
    """
    --set takes numbers and lists as TOML writes them; anything else is text.
    """
    assert recipes.parse_override(text) == expected


def test_overrides_win_over_the_file(written):
    """
    An override replaces the file's value, at the top, in a section, and in a table of a section.
    """
    path = written('name = "m"\nseed = 1\n[fit]\nepochs = 9\nbatch_size = 4\n')
    overrides = {
        "seed": 5,
        "fit.epochs": 2,
        "model.params.dropout": 0.5,
        "decision.thresholds.yes": 0.7,
    }
    recipe = recipes.load(path, overrides=overrides)

    assert (recipe.seed, recipe.fit.epochs, recipe.fit.batch_size) == (5, 2, 4)
    assert recipe.model.params == {"dropout": 0.5}
    assert recipe.decision.thresholds == {"yes": 0.7}


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("fit.epoch", r"unknown key fit\.epoch;"),
        ("colour", "unknown key colour"),
        ("name.first", "name is a value, not a section"),
        ("fit.epochs.first", "epochs is a value, not a section"),
    ],
)
def test_wrong_overrides_are_named(written, key, message):
    """
    An override of what is not there is an error of ours.
    """
    path = written('name = "m"\n[fit]\nepochs = 9\n')

    with pytest.raises(ConfigError, match=message):
        recipes.load(path, overrides={key: 3})


def test_paths_may_hold_variables(monkeypatch, tmp_path):
    """
    $KWS_DATA is expanded; a variable that is not set is an error; an empty path means none.
    """
    data = recipes.load("default").data
    monkeypatch.setenv("KWS_DATA", str(tmp_path))

    assert data.path("clips") == tmp_path / "speech_commands"
    assert dataclasses.replace(data, speech="").path("speech") is None

    monkeypatch.delenv("KWS_DATA")
    with pytest.raises(ConfigError, match=r"data\.clips = .*the variable is not set; export"):
        data.path("clips")
