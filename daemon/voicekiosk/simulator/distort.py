"""What may be wrong with events on their way out (S26, S44, 3.4)."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from voicekiosk.simulator.scenario import Events

Frame = dict[str, Any]


class Distortion:
    """Stamps events and bends them as a scenario says."""

    def __init__(self, events: Events, rng: random.Random) -> None:
        self._events, self._rng = events, rng
        self.plain = events == Events()
        """Nothing is bent: audio may take the short way."""
        self._count = 0

    def apply(self, frame: Frame, timestamp: float) -> list[Frame]:
        """Return what is sent in place of the event: none, one, or several."""
        if self.plain:
            return [frame | {"timestamp": round(timestamp, 6)}]
        events, kind = self._events, frame["type"]
        if kind in events.withhold:
            return []
        out = {
            key: value
            for key, value in frame.items()
            if f"{kind}.{key}" not in events.strip and f"{kind}.{key}={value}" not in events.strip
        }
        if events.timestamps == "float":
            out["timestamp"] = round(timestamp, 6)
        elif events.timestamps == "iso":
            out["timestamp"] = datetime.fromtimestamp(timestamp, UTC).isoformat()
        if kind == "session.error":
            self._bend_error(out)
        if events.unknown:
            out["x_unknown"] = {"nested": [1, None, "…"]}
        if events.shuffle:
            items = list(out.items())
            self._rng.shuffle(items)
            out = dict(items)
        result = [out, out] if kind in events.repeat else [out]
        self._count += 1
        if events.unknown and self._count % 5 == 0:
            result.insert(0, {"type": "x.unknown.event", "reply_id": 7, "data": {"audio": None}})
        return result

    def _bend_error(self, out: Frame) -> None:
        if self._events.error_shape == "error":
            out["type"] = "error"
        elif self._events.error_shape == "typeless":
            del out["type"]
        if self._events.upper_case_codes:
            out["code"] = out["code"].upper()
