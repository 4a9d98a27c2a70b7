"""Policies behind servers that speak openpi's websocket protocol, as planners: the client's side.

ws://gpu:8000                      a server of toyflow, in any number of steps; or one that names its own
1=ws://gpu:8000,10=ws://gpu:8001   a server for each number of steps
"""
