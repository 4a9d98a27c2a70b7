"""The objects that LIBERO-Pro adds: other colours and sizes of LIBERO's, whose meshes are in LIBERO's assets.

Each behaves as one of LIBERO's classes and has a mesh of its own, so a class here is that class under another
name. `benchmarks/libero_pro.py` compares the table with the source of the package.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from toyflow.robot.simulation.environments.libero import package

LIKE = {
    "articulated_objects": {"yellow_cabinet": "wooden_cabinet", "yellow_stove": "flat_stove"},
    "stable_hope_objects": {
        "bigger_alphabet_soup": "alphabet_soup",
        "blue_ketchup": "tomato_sauce",
        "green_bbq_sauce": "bbq_sauce",
        "green_butter": "butter",
        "green_chocolate_pudding": "chocolate_pudding",
        "red_cream_cheese": "cream_cheese",
        "red_salad_dressing": "salad_dressing",
        "yellow_milk": "tomato_sauce",
        "yellow_tomato_sauce": "tomato_sauce",
    },
    "stable_scanned_objects": {
        "bigger_akita_black_bowl": "akita_black_bowl",
        "black_bowl": "akita_black_bowl",
        "red_basket": "basket",
        "yellow_plate": "plate",
    },
    "turbosquid_objects": {
        "brown_rack": "wine_rack",
        "white_bottle": "wine_bottle",
        "yellow_moka_pot": "moka_pot",
    },
}
"""LIBERO's kind of object that one of LIBERO-Pro behaves as, by the folder of its mesh in the assets."""

TOO_WIDE = {"bigger_alphabet_soup"}
"""Kinds of objects that are wider than the 8 cm to which the hand opens: this can, which stands, is 9.3 cm
wide."""

KINDS = {kind: (folder, like) for folder, kinds in LIKE.items() for kind, like in kinds.items()}


def mesh_file(kind: str) -> str:
    """Path of a kind's MJCF file in the assets.

    >>> mesh_file("yellow_plate"), mesh_file("yellow_stove")
    ('stable_scanned_objects/yellow_plate/yellow_plate.xml', 'articulated_objects/yellow_stove.xml')
    """
    folder, _ = KINDS[kind]
    return f"{folder}/{kind}.xml" if folder == "articulated_objects" else f"{folder}/{kind}/{kind}.xml"


def lacking(assets: Path, kinds: Iterable[str]) -> list[str]:
    """Which of these kinds have no mesh in the assets."""
    return [kind for kind in kinds if not (assets / mesh_file(kind)).is_file()]


def register() -> None:
    """Make LIBERO know these objects, unless it does already."""
    base = package.load("envs.base_object")
    package.load("envs.objects")  # fills the dictionaries
    known: dict[str, type] = base.OBJECTS_DICT
    for kind, (_, like) in KINDS.items():
        if kind not in known:
            known[kind] = _variant(kind, known[like])
            if like in base.VISUAL_CHANGE_OBJECTS_DICT:
                base.VISUAL_CHANGE_OBJECTS_DICT[kind] = known[kind]


def _variant(kind: str, original: Any) -> type:
    """`original` with the mesh of `kind`. LIBERO reads the kind from the class's name."""

    def __init__(self: Any, name: str = kind, obj_name: str = kind, **joints: Any) -> None:
        original.__init__(self, name, obj_name, **joints)

    name = "".join(word.capitalize() for word in kind.split("_"))
    return type(name, (original,), {"__init__": __init__})
