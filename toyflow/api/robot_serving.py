"""`toyflow robot-serve`: a trained policy behind openpi's websocket protocol, until it is told to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from toyflow import plugins
from toyflow.errors import UsageError
from toyflow.flow import Decoding
from toyflow.machine import cores
from toyflow.robot.latency import Times
from toyflow.robot.policy_opening import compile_planner, find_policy, ready_planner, warnings_about
from toyflow.robot.runtime.remote.addresses import is_remote
from toyflow.robot.runtime.serving import check_packages
from toyflow.robot.simulation.environment import load_environment


def serve_one(
    checkpoint: str,
    console: Console,
    *,
    decoding: Decoding,
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
    """Serve a policy until SIGINT or SIGTERM. A LeRobot policy becomes a cell of `out` first.

    Args:
        checkpoint: the folder of a trained policy, OUT/cells/KEY; or a LeRobot policy, a folder or a name on
            the hub.
        console: prints warnings, the address, and at the end a summary.
        decoding: steps, sampler, grid and draws.
        host: address to listen on; one that other machines can reach needs an API key.
        port: port to listen on; 0 for any free one.
        key_file: file with the API key that clients must send; None for `$TOYFLOW_API_KEY`, if set.
        keys: entries of a client's message, CAMERA=ENTRY,state=ENTRY+ENTRY,prompt=ENTRY; None for the names
            that openpi and LeRobot use.
        prompt: prompt for clients that send none; None where clients must send one.
        noise_seed: seed of the noise that plans start from.
        timeout: longest wait for a plan, in seconds.
        limits: the fields connections, message_bytes and batch of `ServerOptions`.
        device: auto, cpu, cuda or mps.
        threads: processor threads of the policy; None for all processors.
        compiled: whether PyTorch compiles the policy first, which takes a minute or more.
        rename: renamed cameras of a LeRobot policy: POLICY_CAMERA=CLIENT_CAMERA, ...; None for none.
        out: results folder for a LeRobot policy.

    Raises:
        UsageError: no such checkpoint, decoding, camera or address, or no key where one is required.
        Fault: the policy cannot plan.
    """
    check_packages()
    if is_remote(checkpoint):
        raise UsageError(f"{checkpoint} is a server already: its clients may ask it themselves.")
    # Imported here since websockets, msgpack and prometheus_client are optional.
    from toyflow.robot.runtime.serving.access import KEY_VARIABLE, check_host, read_key
    from toyflow.robot.runtime.serving.description import policy_metadata, serving_warnings
    from toyflow.robot.runtime.serving.event_loop import run, until_signal
    from toyflow.robot.runtime.serving.observations import Keys, ObservationReader, parse_keys
    from toyflow.robot.runtime.serving.server import PolicyServer, ServerOptions

    key, chosen = read_key(key_file, KEY_VARIABLE), parse_keys(keys)
    check_host(host, key, KEY_VARIABLE)
    training = find_policy(checkpoint, rename, out)
    planner = ready_planner(training, decoding, device, threads or cores())
    if compiled:
        with console.status("compiling the policy; a minute or more"):
            compile_planner(planner, limits["batch"], planner.can_continue)
    reader = ObservationReader(planner.interface, Keys.of(planner.interface, chosen), prompt)
    for warning in [*warnings_about(training, planner), *serving_warnings(planner)]:
        console.print(f"[yellow]{escape(warning)}[/]")
    options = replace(ServerOptions(host, port, key, noise_seed, timeout), **limits)
    names = reader.keys.as_dict()
    made_in = training.details["made_of"].get("environment")
    known = made_in in plugins.available("environments")
    server = PolicyServer(
        planner, reader, policy_metadata(training, planner, reader.keys), options,
        load_environment(made_in).to_openpi if known else None,
    )  # fmt: skip

    def print_ready(port: int, plan: Times) -> None:
        inputs = [f"{key} (camera {camera})" for camera, key in names["cameras"].items()]
        inputs += [names["state"]] * bool(planner.interface.state_dim) + [names["prompt"]]
        console.print(
            f"[bold]{escape(training.record.label)}[/], {decoding.label}, is served at "
            f"[bold]ws://{_in_url(host)}:{port}[/]"
            f"{' to clients with the API key' if key else ''}; a plan takes {plan.p50:.1f} ms (p95 "
            f"{plan.p95:.1f})."
        )
        console.print(
            f"It reads {escape(', '.join(inputs))} and answers {planner.horizon} actions of "
            f"{planner.interface.action_dim}. /healthz and /metrics are there too. Ctrl-C stops it."
        )

    run(until_signal(lambda stop: server.run(stop, print_ready)))
    console.print(f"Stopped; {server.metrics.summary()}.")


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
