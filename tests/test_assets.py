"""What comes with the project is whole, small enough, and says where it is from."""

import pytest

from sequoia_core.assets import asset
from sequoia_core.decode.pair import BUNDLED_DRAFT, BUNDLED_TARGET
from sequoia_core.errors import InputError
from sequoia_core.plan.acceptance import RULES, load_acceptance
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.plan.presets import (
    BUNDLED_ACCEPTANCE,
    BUNDLED_VECTORS,
    DEFAULT_HARDWARE,
    bundled_acceptance,
    bundled_counterpart,
    bundled_hardware,
)

MEGABYTE = 10**6


def test_the_bundled_weights_are_safetensors_under_64_megabytes():
    weights = [path for path in asset("models").rglob("*") if path.is_file()]
    sizes = {path: path.stat().st_size for path in weights}
    assert sum(sizes.values()) < 64 * MEGABYTE
    assert max(sizes.values()) < 50 * MEGABYTE
    assert {p.suffix for p in weights} <= {".safetensors", ".json", ".md", ".txt"}


VECTORS = [
    (rule, temperature, name)
    for rule, names in BUNDLED_VECTORS.items()
    for temperature, name in names.items()
]


@pytest.mark.parametrize(("rule", "temperature", "name"), VECTORS)
def test_the_bundled_vectors_were_measured_on_the_bundled_pair(rule, temperature, name):
    vector = load_acceptance(name)
    assert (vector.target, vector.draft) == (BUNDLED_TARGET, BUNDLED_DRAFT)
    assert vector.temperature == temperature
    # At temperature 0 the rules are one, and so is their vector.
    assert vector.rule == (rule if temperature else "sequoia")
    assert vector.prompts == 30
    assert vector.standard_errors is not None
    assert vector.paths is not None
    assert vector.origin.startswith("measured")


@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_the_bundled_vectors_of_a_temperature_are_of_one_measurement(temperature):
    vectors = {rule: load_acceptance(bundled_acceptance(temperature, rule)) for rule in RULES}
    lengths = {(vector.ranks, *map(len, vector.paths.sequences)) for vector in vectors.values()}
    assert len(lengths) == 1
    # The first child of sequoia and specinfer is drawn and verified alike: the very same number.
    first = {rule: float(vector.probabilities[0]) for rule, vector in vectors.items()}
    assert first["sequoia"] == first["specinfer"] != first["topk"]
    # Without replacement no child is tried twice.
    assert vectors["sequoia"].probabilities.sum() > vectors["specinfer"].probabilities.sum()


def test_a_bundled_vector_is_found_by_temperature_and_rule():
    assert bundled_acceptance(0.9, "topk") == "bundled-t1.0-topk"
    assert bundled_acceptance(0.0, "specinfer") == "bundled-t0"
    assert bundled_counterpart("bundled-t1.0-topk", "sequoia") == "bundled-t1.0"
    assert bundled_counterpart("bundled-t0", "topk") == "bundled-t0"
    assert bundled_counterpart("reference-repository", "topk") is None
    with pytest.raises(InputError, match=r"rule must be one of sequoia.* got 'magic'"):
        bundled_acceptance(0.6, "magic")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_bundled_profiles_were_measured_to_1024_tokens_in_either_dtype(dtype):
    profile = load_hardware(bundled_hardware(dtype))
    assert (profile.origin, profile.dtype) == ("measured", dtype)
    assert "thread" in profile.device
    assert profile.target_seconds[-1][0] == 1024
    assert (profile.target_model, profile.draft_model) == (BUNDLED_TARGET, BUNDLED_DRAFT)


@pytest.mark.parametrize("name", BUNDLED_ACCEPTANCE.values())
def test_speculation_pays_for_the_bundled_pair_on_two_cores(name):
    assert make_plan(load_acceptance(name), load_hardware(DEFAULT_HARDWARE)).speedup > 1


def test_the_model_card_names_the_data_and_the_losses():
    card = asset("models/README.md").read_text(encoding="utf-8").lower()
    for word in ("licence", "validation loss", "public domain", "sources.md", "acceptance"):
        assert word in card
