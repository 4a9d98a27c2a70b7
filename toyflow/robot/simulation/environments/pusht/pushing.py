"""stub"""


class PushExpert:
    def __init__(self, board): ...
