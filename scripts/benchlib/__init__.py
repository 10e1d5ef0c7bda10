"""What scripts/bench runs. Each module in `sections` is a subcommand; adding one is adding a file.

A section has a docstring whose first line is its help, `run(options) -> Outcome`, and, if it takes options,
`add_options(parser)`; one with `ONLY_WHEN_NAMED` is no part of a run of everything. Figures go under the
section's name into the JSON.
"""
