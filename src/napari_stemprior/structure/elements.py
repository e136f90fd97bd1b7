"""The chemical elements, so that a prior needs no chemistry library to be read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_TABLE = """
X
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar
K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe
Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu
Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn
Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr
Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""

#: Symbols by atomic number; the first, ``"X"``, stands for no element.
SYMBOLS: tuple[str, ...] = tuple(_TABLE.split())

#: Atomic number by symbol.
ATOMIC_NUMBERS: Mapping[str, int] = MappingProxyType({symbol: z for z, symbol in enumerate(SYMBOLS)})

#: What sits on one site: atomic numbers with their occupancies.
Content = tuple[tuple[int, float], ...]
