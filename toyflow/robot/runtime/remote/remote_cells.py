"""Policies behind servers as cells of a results folder, to be evaluated and compared like our own."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from toyflow.atomic import DamagedError, read_sealed, write_sealed
from toyflow.flow import Decoding
from toyflow.machine import installed_version
from toyflow.robot.interface import Interface
from toyflow.robot.policy.card import BEHIND_SERVER, write_card
from toyflow.robot.runtime.remote.addresses import RemoteOptions, parse_addresses
from toyflow.robot.runtime.remote.remote_planner import RemotePlanner
from toyflow.sweep.records import TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import StoredTraining, Trained
from toyflow.training.loop import CurvePoint, TrainingCurve

LOG = logging.getLogger(__name__)
_NO_CURVE = pd.DataFrame(TrainingCurve([CurvePoint(0, 0.0, [], 0.0, 0.0)]).rows()).iloc[:0]


def import_server(
    addresses: str, options: RemoteOptions, otherwise: Interface | None, store: Store
) -> StoredTraining:
    """The cell of a policy behind servers, made if it does not exist yet. The servers are asked who they are.

    The cell is the policy's, wherever a server of toyflow listens; that of a server that does not name its
    policy is of its name in `options`, else of its address, and of its metadata.

    Args:
        addresses: see `parse_addresses`.
        otherwise: cameras, state and action of a policy whose server does not say.

    Raises:
        UsageError: no server answers, or they do not fit each other.
    """
    with closing(RemotePlanner(parse_addresses(addresses), options, otherwise)) as planner:
        record, details = _record(planner, addresses, options), _details(planner, addresses)
    store.check_task(record.task)
    store.prepare()
    while not store.has_training(record):  # another process may be making the same
        with store.try_claim(record) as claimed:
            if claimed:
                store.write_training(record, Trained({}, _NO_CURVE, details), {})
                write_card(store, record.key)
        time.sleep(0 if claimed else 0.1)
    stored = store.training(record.key)
    place = _place(stored)
    joins = not (options.name or planner.facts.name) and any(store.evaluations(stored))
    told = _was_told(place)
    if joins and not told:
        LOG.warning(
            "%s does not name its policy: its results join those that %s already has of this address. If it "
            "serves another checkpoint now, give it a name of its own: --name NAME.",
            addresses, stored.folder,
        )  # fmt: skip
    place.parent.mkdir(exist_ok=True)
    said = {"addresses": addresses, "keys": options.keys, "timeout": options.timeout, "told": told or joins}
    key_file = str(options.key_file.resolve()) if options.key_file else None
    known = {"interface": planner.interface.as_dict(), "steps": list(planner.steps)}
    write_sealed(place, {**said, **known, "key_file": key_file, "name": options.name})
    return stored


def open_server(training: StoredTraining, environment: str | None = None) -> RemotePlanner:
    """The policy that a cell of `import_server` refers to, at the addresses where it was last.

    Args:
        environment: see `RemotePlanner`. It is no part of the cell, which may act elsewhere the next time.

    Raises:
        UsageError: no server answers there.
        DamagedError: the file with the addresses is altered.
    """
    said = _said(training)
    options = RemoteOptions(
        said["keys"],
        said["name"],
        Path(said["key_file"]) if said["key_file"] else None,
        said["timeout"],
    )
    interface = Interface.from_dict(said["interface"])
    return RemotePlanner(parse_addresses(said["addresses"]), options, interface, environment)


def steps_of(training: StoredTraining) -> frozenset[int]:
    """The numbers of steps that the servers of a cell decode in, as they said when they were last asked."""
    return frozenset(_said(training)["steps"])


def _said(training: StoredTraining) -> Mapping[str, Any]:
    out = training.folder.parent.parent
    return read_sealed(_place(training), f"Name the server again: `toyflow robot-eval ws://... --out {out}`.")


def _was_told(place: Path) -> bool:
    """Whether it was said before that results of this cell join earlier ones."""
    try:
        return bool(read_sealed(place)["told"])
    except (DamagedError, KeyError):  # not there yet, written anew below, or of an earlier version
        return False


def _place(training: StoredTraining) -> Path:
    """The file with the servers' addresses, which do not enter the cell's key."""
    return training.folder.parent.parent / "imported" / f"{training.record.key}.json"


def _record(planner: RemotePlanner, addresses: str, options: RemoteOptions) -> TrainingRecord:
    facts, plain = planner.facts, Decoding()
    where = ",".join(each.url.partition("://")[2] for each in parse_addresses(addresses))
    name = options.name or facts.name or where
    data = {"policy": facts.policy}
    if not facts.is_toyflow:
        data["name"] = name
    if facts.decoding is not None:  # what a client cannot choose is part of what the policy is
        chosen = {"draws": facts.decoding.draws, "grid": facts.decoding.grid}
        data |= {each: str(value) for each, value in chosen.items() if value != getattr(plain, each)}
        if facts.decoding.sampler not in (None, "euler"):
            data["sampler"] = facts.decoding.sampler
    return TrainingRecord("robot", {"policy": BEHIND_SERVER}, f"server:{name}", None, None, 0, {}, data=data)


def _details(planner: RemotePlanner, addresses: str) -> dict[str, Any]:
    imported = {
        "from": addresses,
        "type": BEHIND_SERVER,
        "lerobot": installed_version("lerobot"),
        "interface": planner.interface.as_dict(),
        "horizon": planner.horizon,
        "image_size": planner.image_size,
        "replan": planner.replan,
        "takes_noise": False,
    }
    motion = {"motion": dict(planner.facts.motion)} if planner.facts.motion else {}
    return {"imported": imported, **motion, "parameters": 0, "seconds": 0.0, "made_of": {}}
