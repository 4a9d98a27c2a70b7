"""Control steps per second of one LIBERO simulator on one core, with an observation every --replan steps.

    python benchmarks/simulation.py [--suite libero_spatial] [--task 3] [--replan 10] [--image-size 128]

The scripted expert acts, so that the robot moves as in an evaluation; the expert's own time is not counted.
Prints steps per second of wall time and of processor time: on a busy machine, the latter is what it would
reach if it were idle. Software OpenGL is limited to one thread.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("LP_NUM_THREADS", "1")  # threads of llvmpipe; read when OpenGL is first used

from toyflow.robot.simulation.environment import load_environment


def main() -> None:
    """Time episodes from official initial states."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", default="libero_spatial")
    parser.add_argument("--task", type=int, default=3)
    parser.add_argument("--replan", type=int, default=10)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--episodes", type=int, default=3)
    options = parser.parse_args()
    environment = load_environment("libero")(options.suite, options.task, options.image_size)
    steps, wall, processor, looks = 0, 0.0, 0.0, 0.0
    for state in range(options.episodes + 1):
        environment.reset(0, init_state=state)
        expert = environment.expert(0)
        environment.observe()
        solved, taken = False, 0
        while not solved:
            action = expert.act()
            began, used = time.perf_counter(), time.process_time()
            solved = environment.step(action)
            taken += 1
            if taken % options.replan == 0:
                look = time.process_time()
                environment.observe()
                looks += (time.process_time() - look) * (state > 0)
            if state > 0:  # the first warms up
                wall += time.perf_counter() - began
                processor += time.process_time() - used
                steps += 1
    print(
        f"{options.suite} task {options.task}, {options.image_size} px, an observation every "
        f"{options.replan} steps, {steps} steps: {steps / wall:.1f} steps/s of wall time, "
        f"{steps / processor:.1f} of processor time; "
        f"an observation takes {1000 * looks / (steps / options.replan):.0f} ms, a step without it "
        f"{1000 * (processor - looks) / steps:.0f} ms"
    )


if __name__ == "__main__":
    main()
