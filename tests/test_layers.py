"""Guards the house that docs/ARCHITECTURE.md describes, by parsing every import."""

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP_LEVEL = {
    ".ci",
    ".gitattributes",
    ".gitignore",
    ".pytest.ini",
    ".ruff.toml",
    ".streamlit",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "app.py",
    "assets",
    "docs",
    "pages",
    "requirements.txt",
    "sequoia_core",
    "tests",
    "tools",
}
INTERFACE_LIBRARIES = {"streamlit", "plotly", "pandas"}
MODEL_LIBRARIES = {"torch", "transformers", "tokenizers", "safetensors", "accelerate"}
SHARED = {
    "sequoia_core.errors",
    "sequoia_core.files",
    "sequoia_core.assets",
    "sequoia_core.model_config",
}

# What each package of the core may import beyond the standard library: modules or packages.
ALLOWED = {
    "tree": {"numpy", "networkx", "sequoia_core.tree"} | SHARED,
    "plan": {"numpy", "sequoia_core.tree", "sequoia_core.plan"} | SHARED,
    "report": {"numpy", "sequoia_core.tree", "sequoia_core.plan", "sequoia_core.report"} | SHARED,
    "decode": {"numpy", "huggingface_hub", "sequoia_core.tree", "sequoia_core.decode"}
    | MODEL_LIBRARIES
    | SHARED,
}
LONGEST_FUNCTION = 60
MEDIAN_FUNCTION = 10
LONGEST_CORE_FILE = 350
LONGEST_PAGE = 200


def python_files(folder: Path) -> list[Path]:
    """Python files below `folder`, sorted; the test that asks must find some."""
    return sorted(folder.rglob("*.py"))


def imported_modules(file: Path, root: Path) -> set[str]:
    """Absolute names of all modules `file` imports, at any depth.

    `from package import name` counts as both `package` and `package.name`, since only the file
    system knows whether the name is a module.
    """
    return {name for node in ast.walk(_parse(file)) for name in _names(node, file, root)}


def is_within(module: str, packages: set[str]) -> bool:
    """Whether `module` is one of `packages` or lies in one of them."""
    return any(module == package or module.startswith(package + ".") for package in packages)


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function in `file`."""
    for node in ast.walk(_parse(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{file.name}:{node.name}", node.end_lineno - node.lineno + 1


def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


def _names(node: ast.AST, file: Path, root: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = file.relative_to(root).parent.parts
            parent = package[: len(package) - node.level + 1]
            base = ".".join((*parent, *filter(None, [node.module])))
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


def _is_forbidden(module: str, allowed: set[str]) -> bool:
    top = module.split(".")[0]
    if top in sys.stdlib_module_names or module == "sequoia_core":
        return False
    return not is_within(module, allowed)


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_package_imports_only_what_its_layer_allows(repository: Path, package: str) -> None:
    files = python_files(repository / "sequoia_core" / package)
    assert len(files) > 1, f"sequoia_core/{package} has no modules"
    forbidden = {
        f"{file.relative_to(repository)}: {module}"
        for file in files
        for module in imported_modules(file, repository)
        if _is_forbidden(module, ALLOWED[package])
    }
    assert not forbidden


@pytest.mark.parametrize(("library", "package"), [("networkx", "tree"), ("accelerate", "decode")])
def test_what_few_need_is_imported_inside_one_function_and_nowhere_else(
    repository: Path, library: str, package: str
) -> None:
    importers = []
    for file in python_files(repository / "sequoia_core"):
        tree = _parse(file)
        inside = {
            node
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function)
        }
        for node in ast.walk(tree):
            if any(is_within(name, {library}) for name in _names(node, file, repository)):
                assert node in inside, f"{file} imports {library} for everyone"
                assert file.parent.name == package, f"{file} imports {library}"
                importers.append(file)
    assert len(set(importers)) <= 1
    assert len(importers) <= 1


def test_the_core_knows_no_interface_library(repository: Path) -> None:
    for file in python_files(repository / "sequoia_core"):
        modules = imported_modules(file, repository)
        forbidden = INTERFACE_LIBRARIES | {"pages", "app", "tools", "tests"}
        assert not [name for name in modules if is_within(name, forbidden)], file


def test_only_the_command_line_prints_or_reads_the_environment(repository: Path) -> None:
    core = repository / "sequoia_core"
    for file in python_files(core):
        if file == core / "cli.py":
            continue
        for node in ast.walk(_parse(file)):
            place = f"{file.relative_to(repository)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", place
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                word = f"{node.value.id}.{node.attr}"
                assert word not in {"os.environ", "os.getenv", "sys.stdout", "sys.stderr"}, place
        names = imported_modules(file, repository)
        assert not names & {"os.environ", "os.getenv", "sys.stdout", "sys.stderr"}, file


def test_importing_the_optimiser_leaves_torch_unloaded(repository: Path) -> None:
    script = (
        "import sys, sequoia_core.plan.optimizer;"
        "heavy = {'torch', 'transformers', 'streamlit', 'plotly', 'networkx'} & set(sys.modules);"
        "sys.exit(f'loaded with the planner: {heavy}' if heavy else 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=repository, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


def test_pages_share_only_helpers_whose_names_begin_with_an_underscore(repository: Path) -> None:
    for file in [repository / "app.py", *python_files(repository / "pages")]:
        for name in imported_modules(file, repository):
            if name.startswith("pages."):
                assert name.split(".")[1].startswith("_"), f"{file.name} imports {name}"


def test_pages_do_no_maths(repository: Path) -> None:
    calculators = MODEL_LIBRARIES | {"numpy", "scipy", "math", "statistics", "random"}
    pages = [file for file in (repository / "pages").glob("*.py") if file.name[0] != "_"]
    assert pages, "there are no pages"
    for file in [repository / "app.py", *pages]:
        modules = imported_modules(file, repository)
        assert not [name for name in modules if is_within(name, calculators)], file


def test_nothing_new_at_the_top_of_the_repository(tracked_files: list[Path]) -> None:
    assert {file.parts[0] for file in tracked_files} <= TOP_LEVEL


def test_functions_and_files_stay_readable(repository: Path) -> None:
    core = python_files(repository / "sequoia_core")
    pages = [repository / "app.py", *python_files(repository / "pages")]
    limits = dict.fromkeys(core, LONGEST_CORE_FILE) | dict.fromkeys(pages, LONGEST_PAGE)
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in limits}
    assert not {file.name: n for file, n in lengths.items() if n > limits[file]}
    sizes = [found for file in limits for found in functions(file)]
    assert not [(name, lines) for name, lines in sizes if lines > LONGEST_FUNCTION]
    assert statistics.median(lines for _, lines in sizes) <= MEDIAN_FUNCTION


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("import torch.nn as nn", {"torch.nn"}),
        ("from torch import nn", {"torch", "torch.nn"}),
        ("from . import dp", {"sequoia_core.plan", "sequoia_core.plan.dp"}),
        ("from ..tree import shapes", {"sequoia_core.tree", "sequoia_core.tree.shapes"}),
        ("def f():\n    import networkx", {"networkx"}),
    ],
)
def test_the_parser_sees_every_form_of_import(
    tmp_path: Path, line: str, expected: set[str]
) -> None:
    module = tmp_path / "sequoia_core" / "plan" / "module.py"
    module.parent.mkdir(parents=True)
    module.write_text(line)
    assert imported_modules(module, tmp_path) == expected
