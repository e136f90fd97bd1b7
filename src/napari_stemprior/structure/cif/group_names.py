"""Space groups by name as programs write them, and by number."""

from __future__ import annotations

import re

import gemmi

#: Letters behind a name: origins and axes, as the Inorganic Crystal Structure Database writes them.
_ENDINGS = {"S": "1", "Z": "2", "H": "H", "R": "R"}


def groups_of_name(name: str) -> list[gemmi.SpaceGroup]:
    """Find a space group by its name of Hermann and Mauguin.

    Parameters
    ----------
    name : str
        Short, full, without spaces, with ``:2``, ``:H``, ``S``, ``(origin choice 2)`` behind it.

    Returns
    -------
    list of gemmi.SpaceGroup
        All the origins or axes that the name leaves open; empty if the name is not known.
    """
    text = re.sub(r"(\d)_?\((\d)\)|(\d)_\{?(\d)\}?", r"\1\3\2\4", name)
    text = " ".join(text.replace("_", " ").split())
    choice = re.search(r"\(?\s*origin (?:choice|at)?\s*([12])\s*\)?$", text, re.I)
    if choice:
        text = f"{text[: choice.start()].strip()}:{choice[1]}"
    text = re.sub(r"\s*:\s*", ":", text)
    plain, _, extension = text.partition(":")
    if extension and not re.fullmatch(r"[12HRhr]", extension):
        found = _found(plain)
        return with_code(groups_of_number(found.number, every=True), extension) if found else []
    group = _found(text)
    if group is None and (ending := re.fullmatch(r"(.*\S)\s*([SZHR])S?", text)):
        extension = _ENDINGS[ending[2]]
        group = _found(f"{ending[1].strip()}:{extension}")
    if group is None:
        return []
    if group.ext and not extension and not re.search(r"[HR]$", text):
        return _same_hm(group)
    return [group]


def groups_of_number(number: int, every: bool = False) -> list[gemmi.SpaceGroup]:
    """List the settings that a number may stand for: the standard one, with each of its origins or axes.

    Parameters
    ----------
    number : int
        From 1 to 230.
    every : bool
        All settings in the tables.
    """
    if every:
        return [group for group in gemmi.spacegroup_table() if group.number == number]
    return _same_hm(gemmi.find_spacegroup_by_number(number))


def with_code(groups: list[gemmi.SpaceGroup], code: str) -> list[gemmi.SpaceGroup]:
    """Choose the settings of a coordinate-system code such as ``2``, ``h``, ``b1`` or ``-cba``.

    Parameters
    ----------
    groups : list of gemmi.SpaceGroup
        Of one number.
    code : str
        As the dictionary of CIF lists them (_space_group_IT_coordinate_system_code).
    """
    wanted = code.strip().lower().replace(" ", "")
    settings = groups_of_number(groups[0].number, every=True) if groups else []
    every = [group for group in settings if wanted in _codes(group)]
    own = [group for group in every if group.hm in {other.hm for other in groups}]
    if own or every:
        return own or every
    return (
        groups if wanted in ("1", "abc", "b", "b1") else []
    )  # the standard setting, where there is no other


def _codes(group: gemmi.SpaceGroup) -> set[str]:
    extension, qualifier = group.ext.strip("\0").lower(), group.qualifier.lower()
    qualifier = qualifier or "abc"
    return {extension, qualifier, extension + qualifier} - {""}


def _same_hm(group: gemmi.SpaceGroup) -> list[gemmi.SpaceGroup]:
    return [other for other in gemmi.spacegroup_table() if other.hm == group.hm]


def _found(name: str) -> gemmi.SpaceGroup | None:
    found = gemmi.find_spacegroup_by_name(name)
    return found if found is not None else gemmi.find_spacegroup_by_name(_shortened(name))


def _shortened(name: str) -> str:
    """Write a full name such as ``F 4/m -3 2/m`` short."""
    lattice, *axes = name.split()
    if len(axes) < 2:
        return name
    short = [re.sub(r"^2(?:1)?/([a-z])", r"\1", axis) for axis in axes]
    if len(axes) == 3 and axes[1].startswith("-3"):
        short[0] = re.sub(r"^4[123]?/([a-z])", r"\1", short[0])
    return " ".join([lattice, *short])
