"""What all tables of the configuration are made of."""

from typing import Annotated

from msgspec import Meta, Struct

Pin = Annotated[int, Meta(ge=0, le=53)]
Percent = Annotated[int, Meta(ge=0, le=100)]
SilenceMs = Annotated[int, Meta(ge=50, le=10000)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
TimeOfDay = Annotated[
    str, Meta(pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?\Z", title='a time such as "22:00", or ""')
]


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration file."""
