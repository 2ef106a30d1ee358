"""The errors: their list is whole, and each of them is provoked by a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from pystore import errors

CLASSES = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.PyStoreError)]
TESTS = [path.read_text() for path in Path(__file__).parent.parent.rglob("test_*.py") if "node_modules" not in path.parts]
BASES = {"PyStoreError", "StorageError"}
"""Never raised as such."""


def test_the_tree_of_errors_names_all_of_them_under_their_bases() -> None:
    branches = re.findall(r"^ {4}([│ ├└─]*)(\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    above: list[str] = []
    tree = {}
    for indent, name in branches:
        del above[len(indent) // 4 :]
        tree[name] = above[-1] if above else "Exception"
        above.append(name)

    assert tree == {one.__name__: one.__bases__[0].__name__ for one in CLASSES}


def expected_in(test: str) -> set[str]:
    """The names, and the texts, that a test compares something with; not what it only imports or raises itself."""
    tree = ast.parse(test)
    raised = {id(node) for one in ast.walk(tree) if isinstance(one, ast.Raise) for node in ast.walk(one)}
    nodes = [node for node in ast.walk(tree) if id(node) not in raised]
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {str(node.value) for node in nodes if isinstance(node, ast.Constant)}


def test_every_error_is_expected_by_a_test() -> None:
    expected = set[str]().union(*map(expected_in, TESTS))
    assert {one.__name__ for one in CLASSES} - BASES - expected == set()
