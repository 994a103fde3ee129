"""What an export is made from, and what comes out."""

from dataclasses import dataclass, field
from typing import Any

from sequoia_core.errors import InputError
from sequoia_core.files import check_choice, check_integer, check_text
from sequoia_core.plan.acceptance import AcceptanceVector
from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.tree.token_tree import TokenTree

GREEDY, PROBABILISTIC = "greedy", "probabilistic"
# What an engine that drafts so accepts by: its first token for chains, all entries for trees.
ACCEPTS_BY = {GREEDY: ("topk",), PROBABILISTIC: ("sequoia", "specinfer")}
DRAFT_SAMPLINGS = tuple(ACCEPTS_BY)
MAX_BATCH = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A planned tree with the inputs that engines' settings are planned from.

    acceptance, hardware: None where they are not at hand; launch lines need both.
    planned_with: the vector that the tree was planned with, where `acceptance` is another one
        because the engine accepts by another rule; None where they are the same.
    batch_size: sequences decoded together; max_batch_size: end of the schedule by batch size.
    target_model, draft_model: names for the launch line; empty means the vector's, or a
        placeholder. draft_sampling: how vLLM and TensorRT-LLM take tokens from the draft; the other
        engines are greedy. config_file: where TensorRT-LLM's YAML will be, if that is known.
    Raises InputError that names the field.
    """

    tree: TokenTree
    acceptance: AcceptanceVector | None = None
    hardware: HardwareProfile | None = None
    planned_with: AcceptanceVector | None = None
    batch_size: int = 1
    max_batch_size: int = 64
    target_model: str = ""
    draft_model: str = ""
    draft_sampling: str = GREEDY
    config_file: str = ""

    def __post_init__(self) -> None:
        check_integer(self.batch_size, "The batch size", low=1, high=MAX_BATCH)
        check_integer(self.max_batch_size, "The largest batch size", low=1, high=MAX_BATCH)
        check_choice(self.draft_sampling, "The draft sampling", DRAFT_SAMPLINGS)
        for name in ("target_model", "draft_model", "config_file"):
            _check_word(getattr(self, name), name)
        if self.acceptance is not None:
            for name in ("target", "draft"):
                _check_word(getattr(self.acceptance, name), f"The vector's {name}")

    @property
    def target_name(self) -> str:
        """The target for the launch line: asked for, else the vector's, else TARGET_MODEL."""
        return self.target_model or _of(self.acceptance, "target") or "TARGET_MODEL"

    @property
    def draft_name(self) -> str:
        """The draft for the launch line: asked for, else the vector's, else DRAFT_MODEL."""
        return self.draft_model or _of(self.acceptance, "draft") or "DRAFT_MODEL"

    @property
    def inputs(self) -> tuple[AcceptanceVector, HardwareProfile]:
        """Vector and profile; InputError says which option to give if one is missing."""
        for value, name in (
            (self.acceptance, "an acceptance vector: give --acceptance"),
            (self.hardware, "a hardware profile: give --hardware"),
        ):
            if value is None:
                raise InputError(f"A launch line is planned from {name}, a preset or a file.")
        return self.acceptance, self.hardware


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What leaves the building.

    text: the file's content, named file_name by default. fields: the parts as JSON values.
    warnings: one sentence each.
    """

    to: str
    file_name: str
    text: str
    fields: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it as one JSON object."""
        return {
            "to": self.to,
            "file_name": self.file_name,
            **self.fields,
            "warnings": list(self.warnings),
            "text": self.text,
        }


def _of(acceptance: AcceptanceVector | None, name: str) -> str:
    return "" if acceptance is None else getattr(acceptance, name)


def _check_word(word: str, what: str) -> None:
    """Refuse names that an engine would read as an option or a script as a second line."""
    check_text(word, what)
    if word.startswith("-") or not all(character.isprintable() for character in word):
        raise InputError(
            f"{what} must be a name or path of printable characters that does not begin with '-', "
            f"got {word!r:.60}."
        )
