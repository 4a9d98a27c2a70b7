"""What the commands do, from Python. The command line parses flags, calls these functions and prints.

command_options   defaults of the commands; flags, presets and defaults merged
sweeping          toyflow sweep
study             run_study: a sweep of your own task, in this process
recommending      toyflow recommend
probing           toyflow probe
probing_policies  toyflow probe of a policy, on a data set
probe_selection   which models it measures
comparing         toyflow compare
pruning           toyflow runs prune
robot_training    toyflow robot-train, robot-eval and robot-export
robot_driving     toyflow robot-run and robot-replay
robot_serving     toyflow robot-serve
demonstrations    toyflow robot-demos
robot_setup       toyflow robot-setup
doctor            toyflow doctor
data_checking     toyflow robot-data check
data_converting   toyflow robot-data convert
"""
