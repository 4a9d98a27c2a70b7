"""The robot half of toyflow: policies that see, read and act, trained and tested in closed loop.

Five rooms; each imports those below it in this list, and none above it:

    lerobot      exchange with LeRobot: its policies here, ours there
    runtime      a policy on a robot: control loop, limits, robots, and the policy server
    policy       the network, its training, its checkpoint, its model card
    data         demonstrations: reading, normalising, augmenting, and making them with an expert
    simulation   simulators, scripted experts, episodes. A new simulator is one subclass of `Environment`.

(`runtime` and `lerobot` do not import each other.) Below the rooms are five files that all of them use:
`interface` (what a robot shows and takes), `planner` (observations to chunks of actions), `handover` (how
one chunk follows another), `limits` (how far and how fast a robot may move) and `latency` (how long a plan
takes). Above the rooms, `policy_opening` opens a trained policy by its path, `robot_task` and `robot_runner`
make the robot a subject of `toyflow sweep`, `shards` spreads episodes over a cluster, `probe_moments` gives
the frames on which policies are probed, and `train_distributed` trains in several processes.
"""
