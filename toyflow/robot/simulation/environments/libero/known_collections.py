"""The collections of suites that the environment `libero` has, and which of them a suite is of."""

from __future__ import annotations

from toyflow.errors import UsageError, unknown
from toyflow.robot.simulation.environments.libero.collection import Collection
from toyflow.robot.simulation.environments.libero.plus.plus_suites import PlusSuites
from toyflow.robot.simulation.environments.libero.pro.pro_suites import ProSuites
from toyflow.robot.simulation.environments.libero.suites import LiberoSuites

COLLECTIONS: tuple[Collection, ...] = (LiberoSuites(), ProSuites(), PlusSuites())


def suites() -> list[str]:
    """The suites that are installed, LIBERO's own first."""
    return [suite for collection in COLLECTIONS for suite in collection.suites()]


def collection_of(suite: str) -> Collection:
    """The collection that `suite` is of.

    Raises:
        UsageError: there is no such suite, or its collection is not installed; with the command.
    """
    declared = [collection for collection in COLLECTIONS if suite in collection.names()]
    for collection in (*declared, *COLLECTIONS):  # LIBERO's registry, which takes seconds, only if need be
        if suite in collection.suites():
            return collection
    for collection in declared:
        raise UsageError(
            f"{suite} is a suite of {collection.title}, which is not installed; `{collection.setup}` "
            "installs it."
        )
    raise unknown("suite", suite, suites())
