"""What the agent can do here: commands, functions of packages, and the kiosk's own tools.

A tool takes the agent's arguments and gives a value that JSON can hold, or raises `ToolError` with a
sentence for the agent. When it may run and when its result may be sent is decided elsewhere.
"""
