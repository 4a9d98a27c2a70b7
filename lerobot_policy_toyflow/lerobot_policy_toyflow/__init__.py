"""toyflow's policies as a LeRobot policy type."""

from lerobot_policy_toyflow.configuration_toyflow import ToyflowConfig
from lerobot_policy_toyflow.modeling_toyflow import ToyflowPolicy
from lerobot_policy_toyflow.processor_toyflow import make_toyflow_pre_post_processors

__all__ = ["ToyflowConfig", "ToyflowPolicy", "make_toyflow_pre_post_processors"]
