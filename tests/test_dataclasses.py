"""Values that hold arrays are equal where they are the same object: arrays have no single answer to ==."""

import ast
import re
from pathlib import Path

import numpy as np

import napari_stemprior
from napari_stemprior.atoms import AtomTable
from napari_stemprior.registration import Pose

PACKAGE = Path(napari_stemprior.__file__).parent
ARRAYS = frozenset({"NDArray", "ndarray", "Tensor", "DataFrame"})


def test_dataclasses_that_hold_arrays_do_not_compare_them() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
    arrays = _with_aliases([node for tree in trees.values() for node in tree.body])
    wrong = [
        f"{path.relative_to(PACKAGE)}: {node.name}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and _compares_fields(node) and _fields(node) & arrays
    ]
    assert not wrong, "give these eq=False, or an __eq__"


def test_a_pose_and_a_table_can_be_compared_and_hashed() -> None:
    pose, table = Pose.from_angle(3.0, 0.1), AtomTable.from_positions(np.ones((2, 2)), 0.1)
    assert pose == pose
    assert pose != Pose.from_angle(3.0, 0.1)
    assert table == table
    assert table != AtomTable.from_positions(np.ones((2, 2)), 0.1)
    assert len({pose, pose}) == len({table, table}) == 1


def _with_aliases(body: list[ast.stmt]) -> set[str]:
    """The names of array types, such as ``Floats = NDArray[np.float64]``, and of what is made of them."""
    named = {
        node.targets[0].id: _names(node.value)
        for node in body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Subscript | ast.BinOp)
    }
    arrays, before = set(ARRAYS), 0
    while len(arrays) > before:
        before = len(arrays)
        arrays |= {name for name, parts in named.items() if parts & arrays}
    return arrays


def _compares_fields(node: ast.ClassDef) -> bool:
    marks = [text for text in map(ast.unparse, node.decorator_list) if text.startswith("dataclass")]
    own = any(isinstance(part, ast.FunctionDef) and part.name == "__eq__" for part in node.body)
    return bool(marks) and "eq=False" not in marks[0] and not own


def _fields(node: ast.ClassDef) -> set[str]:
    """The names in the types of a class's fields; functions that take arrays hold none."""
    fields = [part.annotation for part in node.body if isinstance(part, ast.AnnAssign)]
    return {
        name for field in fields if not ast.unparse(field).startswith("Callable") for name in _names(field)
    }


def _names(node: ast.expr) -> set[str]:
    return set(re.findall(r"\w+", ast.unparse(node)))
