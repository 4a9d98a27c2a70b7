"""The policy: what it is made of, how it is trained, kept and opened.

`PolicyOptions` is what a user chooses; `build_policy` makes of it and a `DataSet` a `PolicySpec` (a policy
without weights, as JSON) and a `Policy` (the network: a `Backbone` for images and prompt, and a denoising
head). `train_policy` trains it, from its last checkpoint where there is one; `load_policy` opens a trained
one, and `FlowPlanner` lets it act. A new backbone is a file in `backbones`, chosen in `make_backbone`. The
room may import `robot.data` and what that imports, and not runtime or lerobot.
"""
