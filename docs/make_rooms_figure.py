"""Draw which room may import which, from the import contract in ``pyproject.toml``.

``python docs/make_rooms_figure.py`` writes ``docs/images/rooms.svg``. It needs the standard library alone; a
test compares the file with what the contract says.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "napari_stemprior"
OUTPUT = ROOT / "docs" / "images" / "rooms.svg"

#: Sizes in px.
WIDTH, ROW, GAP, LEFT, TOP = 900, 54, 22, 70, 64
#: The colour of a room by the heavy package that its files import; the first that fits.
COLOURS = {"napari": "#dbe9f6", "torch": "#fde6cf", "": "#f2f2f2"}


def layers() -> list[list[str]]:
    """Return the rooms of the contract, a list a layer, the one that may import all others first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (rooms,) = [one for one in contracts if one["name"] == "rooms"]
    return [[name.strip() for name in layer.split("|")] for layer in rooms["layers"]]


def summary(room: str) -> str:
    """Return the first sentence of what a room says of itself."""
    text = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0].rstrip(".")


def colour(room: str) -> str:
    """Return the colour of a room."""
    imported = {""}
    for path in (PACKAGE / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
    return next(shade for package, shade in COLOURS.items() if package in imported)


def drawn() -> str:
    """Return the picture as SVG."""
    rows = layers()
    height = TOP + len(rows) * (ROW + GAP) + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<defs><marker id="head" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
        '<path d="M0,0 L9,4 L0,8 z" fill="#555"/></marker></defs>',
        f'<text x="{LEFT}" y="26" font-size="15" font-weight="bold">Who may import whom</text>',
        f'<text x="{LEFT}" y="46" font-size="12" fill="#555">A room imports rooms below it, never one above '
        "or beside it; further contracts narrow this. Blue: napari and Qt. Orange: torch.</text>",
    ]
    for number, rooms in enumerate(rows):
        top = TOP + number * (ROW + GAP)
        wide = (WIDTH - LEFT - 20 - GAP * (len(rooms) - 1)) / len(rooms)
        for place, room in enumerate(rooms):
            parts += _box(LEFT + place * (wide + GAP), top, wide, room)
    bottom = TOP + len(rows) * (ROW + GAP) - GAP
    parts.append(
        f'<line x1="35" y1="{TOP}" x2="35" y2="{bottom}" stroke="#555" stroke-width="2" '
        'marker-end="url(#head)"/>'
    )
    parts.append(
        f'<text x="24" y="{(TOP + bottom) / 2:g}" font-size="12" fill="#555" text-anchor="middle" '
        f'transform="rotate(-90 24 {(TOP + bottom) / 2:g})">imports</text>'
    )
    return "\n".join([*parts, "</svg>", ""])


def _box(left: float, top: float, wide: float, room: str) -> list[str]:
    middle = left + wide / 2
    size = 11 if len(summary(room)) * 5.6 < wide else 9
    return [
        f'<rect x="{left:g}" y="{top}" width="{wide:g}" height="{ROW}" rx="6" fill="{colour(room)}" '
        'stroke="#888"/>',
        f'<text x="{middle:g}" y="{top + 22}" font-size="15" font-weight="bold" text-anchor="middle">'
        f"{room}/</text>",
        f'<text x="{middle:g}" y="{top + 41}" font-size="{size}" fill="#333" text-anchor="middle">'
        f"{escape(summary(room))}</text>",
    ]


if __name__ == "__main__":
    OUTPUT.write_text(drawn(), encoding="utf-8")
    print(OUTPUT)
