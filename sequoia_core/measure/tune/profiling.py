"""The stage that profiles: first a small look, then as much as the time allows."""

import time
from dataclasses import replace

from sequoia_core.errors import InputError
from sequoia_core.measure.profiler import DRAFT_GRID, TARGET_GRID, profile_pair
from sequoia_core.measure.sweep import DRAFT_PASSES, WARM_UPS
from sequoia_core.measure.tune.amounts import Amounts
from sequoia_core.measure.tune.progress import Journey, Progress
from sequoia_core.measure.tune.store import Part, Store
from sequoia_core.measure.tune.task import Models
from sequoia_core.plan.hardware import HardwareProfile, hardware_from_dict
from sequoia_core.report.report import HARDWARE_NAME, Reached

STAGE, LOOK_PART, PART = "profile", "profile-look", "profile"
LOOK_TOKENS = 64
# Fewer passes of every size tell little; better to leave the largest sizes out.
FEWEST_REPEATS = 3
# How much of the time a first look may take and still be followed by a second one.
LOOK_SHARE = 0.5


def profile_stage(
    store: Store, models: Models, amounts: Amounts, journey: Journey
) -> tuple[HardwareProfile, Reached]:
    """The machine's profile, from the store or measured now.

    A first look at small passes gives the pace, and with it the largest pass and the repeats that
    the time allows; where the look itself takes most of the time, it is the profile.
    """
    part = store.read(PART)
    if part:
        journey.taken(STAGE, f"taken from {store.folder}, {part.ago}")
        return _profile(store, part, amounts)
    look = store.read(LOOK_PART) or _look(store, models, amounts, journey)
    room = amounts.profile_seconds - look.seconds
    if look.seconds > LOOK_SHARE * amounts.profile_seconds:
        store.write(PART, look.content, look.seconds)
    else:
        most, repeats = affordable(_read(store, look), look.seconds, room, amounts)
        profile, spent = _measured(models, most, repeats, room, journey.begin(STAGE))
        content = {"repeats": repeats, "profile": profile.to_dict()}
        store.write(PART, content, look.seconds + spent)
    return _profile(store, store.read(PART), amounts)


def affordable(
    look: HardwareProfile, look_seconds: float, room: float, amounts: Amounts
) -> tuple[int, int]:
    """Largest pass and repeats that fit `room` seconds, by the pace of a first look.

    The look had one repeat and the rounds that warm up, over passes up to its own largest.
    """
    slowness = max(1.0, look_seconds / ((1 + WARM_UPS) * _round_seconds(look, look.last_tokens)))
    sizes = [n for n in (1024, 512, 256, 128, LOOK_TOKENS) if n <= amounts.max_tokens]
    for most in sizes or [amounts.max_tokens]:
        rounds = int(room / (slowness * _round_seconds(look, most))) - WARM_UPS
        if rounds >= FEWEST_REPEATS:
            return most, min(rounds, amounts.profile_repeats)
    return min(LOOK_TOKENS, amounts.max_tokens), max(1, min(rounds, amounts.profile_repeats))


def _round_seconds(look: HardwareProfile, most: int) -> float:
    """At most what the passes of one round up to `most` tokens take.

    Beyond the look's largest pass seconds are taken to grow with the tokens, which no pass exceeds.
    """
    last = look.last_tokens
    targets = [n for n in TARGET_GRID if n <= most]
    widths = [n for n in DRAFT_GRID if n <= most]
    target = sum(look.target(min(n, last)) * max(1.0, n / last) for n in targets)
    draft = sum(look.draft(min(n, last)) * max(1.0, n / last) for n in widths) / len(widths)
    return target + DRAFT_PASSES * len(targets) * draft


def _look(store: Store, models: Models, amounts: Amounts, journey: Journey) -> Part:
    journey.note(f"{STAGE}: a first look at passes of up to {LOOK_TOKENS} tokens")
    most = min(LOOK_TOKENS, amounts.max_tokens)
    profile, spent = _measured(models, most, 1, 0.0, lambda fraction, text: None)
    store.write(LOOK_PART, {"repeats": 1, "profile": profile.to_dict()}, spent)
    return store.read(LOOK_PART)


def _measured(
    models: Models, most: int, repeats: int, limit_seconds: float, progress: Progress
) -> tuple[HardwareProfile, float]:
    """A profile and the seconds that it took; with no seconds given there is no refinement."""
    pair = models.pair
    started = time.perf_counter()
    profile = profile_pair(
        pair,
        context_length=models.context_length,
        max_tokens=most,
        repeats=repeats,
        limit_seconds=limit_seconds,
        progress=progress,
    )
    spent = time.perf_counter() - started
    why = models.chosen.why
    return (replace(profile, basis=f"{profile.basis}; {why}") if why else profile), spent


def _read(store: Store, part: Part) -> HardwareProfile:
    try:
        return hardware_from_dict(part.content["profile"], name=HARDWARE_NAME)
    except (InputError, KeyError, TypeError) as error:
        raise store.unusable(PART) from error


def _profile(store: Store, part: Part, amounts: Amounts) -> tuple[HardwareProfile, Reached]:
    profile = _read(store, part)
    repeats = part.content["repeats"] if isinstance(part.content.get("repeats"), int) else 1
    words = f"passes of up to {profile.last_tokens:,} tokens, {repeats} or more of every size"
    return profile, Reached(STAGE, part.seconds, amounts.profile_seconds, words)
