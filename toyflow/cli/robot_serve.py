"""`toyflow robot-serve`: a trained policy behind openpi's websocket protocol, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from toyflow.errors import UsageError
from toyflow.machine import cores, installed_version
from toyflow.robot.latency import Times
from toyflow.robot.opening import compile_planner, find_policy, ready_planner, warnings_about
from toyflow.robot.planner import Planner
from toyflow.sweep.store import StoredTraining
from toyflow.version import __version__

if TYPE_CHECKING:
    from toyflow.robot.runtime.serving.observations import Keys
    from toyflow.robot.runtime.serving.server import PolicyServer

KEY_VARIABLE = "TOYFLOW_API_KEY"


def serve_one(
    checkpoint: str,
    console: Console,
    *,
    steps: int,
    sampler: str,
    host: str,
    port: int,
    key_file: Path | None,
    keys: str | None,
    prompt: str | None,
    noise_seed: int,
    timeout: float,
    limits: Mapping[str, int],
    device: str,
    threads: int | None,
    compiled: bool,
    rename: str | None,
    out: Path,
) -> None:
    """Serve a policy until SIGINT or SIGTERM; one of LeRobot's becomes a cell of `out` first.

    Args:
        limits: fields of `ServerOptions`: connections, message_bytes, batch.

    Raises:
        UsageError: no such checkpoint, K, camera or address, or no key where one is required.
        Fault: the policy cannot plan.
    """
    missing = [name for name in ("websockets", "msgpack") if installed_version(name) is None]
    if missing:
        raise UsageError(f"serving needs {' and '.join(missing)}: pip install 'toyflow[robot]'.")
    from toyflow.robot.runtime.serving.access import check_host, read_key
    from toyflow.robot.runtime.serving.loop import run
    from toyflow.robot.runtime.serving.observations import Keys, ObservationReader, parse_keys
    from toyflow.robot.runtime.serving.server import PolicyServer, ServerOptions

    key, chosen = read_key(key_file, KEY_VARIABLE), parse_keys(keys)
    check_host(host, key, KEY_VARIABLE)
    training = find_policy(checkpoint, rename, out)
    planner = ready_planner(training, steps, sampler, device, threads or cores())
    if compiled:
        with console.status("compiling the policy; a minute or more"):
            compile_planner(planner, limits["batch"])
    reader = ObservationReader(planner.interface, Keys.of(planner.interface, chosen), prompt)
    for warning in _warnings(training, planner, sampler):
        console.print(f"[yellow]{escape(warning)}[/]")
    options = replace(ServerOptions(host, port, key, noise_seed, timeout), **limits)
    about = _metadata(training, planner, reader.keys)
    server = PolicyServer(planner, reader, about, options)

    def say_ready(port: int, plan: Times) -> None:
        sees = [f"{key} (camera {camera})" for camera, key in about["keys"]["cameras"].items()]
        sees += [about["keys"]["state"]] * bool(planner.interface.state_dim) + [about["keys"]["prompt"]]
        console.print(
            f"[bold]{escape(training.record.label)}[/], K = {steps}, is served at "
            f"[bold]ws://{_in_url(host)}:{port}[/]"
            f"{' to clients with the API key' if key else ''}; a plan takes {plan.p50:.1f} ms (p95 "
            f"{plan.p95:.1f})."
        )
        console.print(
            f"It reads {escape(', '.join(sees))} and answers {planner.horizon} actions of "
            f"{planner.interface.action_dim}. /healthz and /metrics are there too. Ctrl-C stops it."
        )

    run(_until_told(server, say_ready))
    faults = ", ".join(f"{count} x {kind}" for kind, count in server.metrics.faults.most_common())
    refused = f"; refused: {faults}" if faults else ""
    console.print(f"Stopped; {server.metrics.requests} requests were answered{refused}.")


async def _until_told(server: PolicyServer, say_ready: Callable[[int, Times], None]) -> None:
    stop, loop, numbers = asyncio.Event(), asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
    with suppress(NotImplementedError):  # on Windows Ctrl-C ends it at once
        for number in numbers:
            loop.add_signal_handler(number, stop.set)
    try:
        await server.run(stop, say_ready)
    finally:  # uvloop keeps them else, and nothing but a kill ends a process whose policy hangs
        with suppress(NotImplementedError):
            for number in numbers:
                loop.remove_signal_handler(number)


def _metadata(training: StoredTraining, planner: Planner, keys: Keys) -> dict[str, Any]:
    """What clients are told first."""
    interface = planner.interface
    return {
        "server": f"toyflow {__version__}",
        "policy": training.record.key,
        "law": training.record.label,
        "steps": planner.steps,
        "action_horizon": planner.horizon,
        "action_dim": interface.action_dim,
        "state_dim": interface.state_dim,
        "fps": interface.fps,
        "image_size": planner.image_size,
        "keys": keys.as_dict(),
    }


def _warnings(training: StoredTraining, planner: Planner, sampler: str) -> list[str]:
    """What to know before trusting it, a line each."""
    warnings = warnings_about(training, planner, sampler)
    if planner.history > 1:
        warnings.append(
            f"This policy looks at {planner.history} moments: those before are what the same connection "
            "showed in its requests before, so a client should ask at every control step."
        )
    return warnings


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
