"""What runs on a robot, in openpi-client's environment: `python openpi_robot.py PORT KEY`. Prints JSON."""

import json
import sys

import numpy as np
from openpi_client import (  # pyright: ignore[reportMissingImports]
    action_chunk_broker,
    websocket_client_policy,
)

port, key = int(sys.argv[1]), sys.argv[2]
image = np.arange(224 * 224 * 3, dtype=np.uint8).reshape(224, 224, 3)
libero = {
    "observation/image": image,
    "observation/wrist_image": np.ascontiguousarray(image[::-1]),
    "observation/state": np.arange(8, dtype=np.float64),
    "prompt": "pick up the soup",
}
policy = websocket_client_policy.WebsocketClientPolicy("127.0.0.1", port, api_key=key)
told = {"numpy": np.__version__, "metadata": policy.get_server_metadata()}
reply = policy.infer(libero)
told["actions"] = reply["actions"].tolist()
told["timing"] = reply["server_timing"]
try:
    policy.infer({**libero, "observation/state": np.zeros(3)})
except RuntimeError as error:
    told["refused"] = str(error)
broker = action_chunk_broker.ActionChunkBroker(policy, action_horizon=3)
told["steps"] = [broker.infer(libero)["actions"].tolist() for _ in range(4)]
try:
    websocket_client_policy.WebsocketClientPolicy("127.0.0.1", port, api_key="wrong")
except Exception as error:
    told["locked"] = str(error)
print(json.dumps(told))
