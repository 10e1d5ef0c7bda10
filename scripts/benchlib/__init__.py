"""What scripts/bench runs. Each module in `sections` is a subcommand; adding one is adding a file.

A section has a docstring whose first line is its help, `run(options) -> Outcome`, and, if it takes options,
`add_options(parser)`. Figures go under the section's name into the JSON.
"""
