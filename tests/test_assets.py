"""What comes with the project is whole, small enough, and says where it is from."""

import pytest

from sequoia_core.assets import asset
from sequoia_core.decode.pair import BUNDLED_DRAFT, BUNDLED_TARGET
from sequoia_core.plan.acceptance import load_acceptance
from sequoia_core.plan.hardware import load_hardware
from sequoia_core.plan.optimizer import make_plan
from sequoia_core.plan.presets import BUNDLED_ACCEPTANCE, DEFAULT_HARDWARE, bundled_hardware

MEGABYTE = 10**6


def test_the_bundled_weights_are_safetensors_under_64_megabytes():
    weights = [path for path in asset("models").rglob("*") if path.is_file()]
    sizes = {path: path.stat().st_size for path in weights}
    assert sum(sizes.values()) < 64 * MEGABYTE
    assert max(sizes.values()) < 50 * MEGABYTE
    assert {p.suffix for p in weights} <= {".safetensors", ".json", ".md", ".txt"}


@pytest.mark.parametrize(("temperature", "name"), BUNDLED_ACCEPTANCE.items())
def test_the_bundled_vectors_were_measured_on_the_bundled_pair(temperature, name):
    vector = load_acceptance(name)
    assert (vector.target, vector.draft) == (BUNDLED_TARGET, BUNDLED_DRAFT)
    assert (vector.temperature, vector.rule) == (temperature, "sequoia")
    assert vector.prompts == 30
    assert vector.standard_errors is not None
    assert vector.origin.startswith("measured")


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
