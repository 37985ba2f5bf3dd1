"""The design's rules that a reader of the tree relies on."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "keras_vssl"
FAMILIES = ("pretext", "contrastive", "generative", "cross_modal")
METHODS = [
    path for family in FAMILIES for path in sorted((PACKAGE / "tasks" / family).glob("[a-z]*.py"))
]


def imports(path):
    """The modules a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.stem)
def test_a_method_is_one_short_file_that_imports_no_other(path):
    assert len(path.read_text().splitlines()) < 250
    own = f"keras_vssl.tasks.{path.parent.name}.{path.stem}"
    others = {
        name
        for name in imports(path)
        if any(name.startswith(f"keras_vssl.tasks.{family}") for family in FAMILIES)
    }
    assert not {name for name in others if not name.startswith(own)}


RULES = {
    "data": ("tasks", "layers", "losses", "backbones", "downstream", "cli"),
    "layers": ("tasks", "downstream", "backbones", "cli"),
    "losses": ("tasks", "downstream", "backbones", "layers", "cli"),
    "backbones": ("tasks", "cli"),
    "tasks": ("cli",),
    "downstream": tuple(f"tasks.{family}" for family in FAMILIES) + ("cli",),
}


@pytest.mark.parametrize("package", RULES)
def test_packages_know_only_what_the_design_says(package):
    for path in (PACKAGE / package).rglob("*.py"):
        banned = [
            name
            for name in imports(path)
            if any(f"{name}.".startswith(f"keras_vssl.{part}.") for part in RULES[package])
        ]
        assert not banned, f"{path.relative_to(PACKAGE)} imports {banned}"


def test_only_public_names_of_keras_are_used():
    for path in PACKAGE.rglob("*.py"):
        private = [n for n in imports(path) if n.startswith(("keras.src", "keras_hub.src"))]
        assert not private, f"{path.relative_to(PACKAGE)} imports {private}"
