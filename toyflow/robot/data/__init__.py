"""Demonstrations: a LeRobot data set read as action chunks, and data sets made by a scripted expert.

`DataSet` reads states, prompts and action chunks; `open_data_set` opens one by folder or hub name; `Frames`
gives its images at the policy's size, from a cache. `Normalisation` scales states and actions, `Augmentation`
shifts and recolours images. `demos` makes data sets: `make_demos` lets the expert of an `Environment` act and
writes what it did. The room may import `robot.simulation` and what that imports, not policy, runtime or
lerobot.
"""
