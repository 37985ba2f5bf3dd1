"""Writes docs/methods.md from the methods' classes: what each predicts, from what, and who proposed it.

make catalogue
python docs/methods.py --check      # exits with 1 where the page differs
"""

import argparse
import inspect
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from keras_vssl import tasks  # noqa: E402
from keras_vssl.cli.methods import METHODS  # noqa: E402

PAGE = ROOT / "docs" / "methods.md"
MARK = (
    "<!-- Written by docs/methods.py from the classes' docstrings; edit those, not this page. -->"
)
# The survey's four families (Schiappa, Rawat, Shah. Self-supervised learning for videos: a survey.
# ACM Computing Surveys 2023), by the folder a method lives in.
FAMILIES = {
    "pretext": "Pretext tasks",
    "generative": "Generative learning",
    "contrastive": "Contrastive learning",
    "cross_modal": "Cross-modal agreement",
}


def sections(text):
    """The idea of a class docstring and its marked paragraphs, each on one line."""
    found, name = {"idea": []}, "idea"
    for block in inspect.cleandoc(text).split("\n\n"):
        flat = " ".join(block.split())
        marked = re.match(r"\*\*(\w+)\*\*: *(.*)", flat)
        if re.match(r"(Args|Attributes|Example|Reference|Raises):", flat):
            break
        if marked:
            name, flat = marked.groups()
        found.setdefault(name, []).append(flat)
    return {name: " ".join(parts) for name, parts in found.items()}


def page():
    """The page as Markdown."""
    lines = [
        "# Methods",
        "",
        MARK,
        "",
        "Each method is one class in one file, by the signal that trains it. `keras-vssl pretrain NAME "
        "FOLDER` trains it with no further argument; `keras-vssl bench FOLDER` compares them.",
        "",
    ]
    names = {class_name: name for name, class_name in tasks.METHODS.items()}
    for family, title in FAMILIES.items():
        lines += [f"## {title}", ""]
        for class_name, name in sorted(names.items(), key=lambda item: item[1]):
            method = getattr(tasks, class_name)
            if f".tasks.{family}." not in method.__module__:
                continue
            parts = sections(method.__doc__)
            path = method.__module__.replace(".", "/") + ".py"
            lines += [
                f"### {class_name}",
                "",
                f"`{name}`: {METHODS[name].about} [Source](../{path}).",
                "",
                parts.pop("idea"),
                "",
                *(f"- **{part}**: {text}" for part, text in parts.items()),
                f"- **Paper**: {' '.join(method.citation.split())}",
                f"- **Its training**: {method.recipe.epochs} epochs of {method.recipe.dataset}, batches of "
                f"{method.recipe.batch_size} ({method.recipe.source}).",
                "",
            ]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    args = parser.parse_args(arguments)
    text = page()
    if args.check:
        return 0 if PAGE.is_file() and PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
