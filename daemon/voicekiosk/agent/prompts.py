"""What the agent is told about here and now, refreshed for each conversation."""

from datetime import datetime

from msgspec.structs import replace

from voicekiosk.config.persona import agent_of
from voicekiosk.config.schema import Config, Kiosk


def for_now(config: Config, now: datetime) -> Config:
    """Return `config` with the persona that it means, its placeholders filled in; `now` is local time."""
    agent = agent_of(config)
    return replace(
        config,
        agent=replace(
            agent,
            system_prompt=filled(agent.system_prompt, config.kiosk, now),
            greeting=filled(agent.greeting, config.kiosk, now),
        ),
    )


def filled(text: str, kiosk: Kiosk, now: datetime) -> str:
    """Return `text` with `{date} {time} {place} {name}` filled in; other braces are the owner's."""
    values = {
        "{date}": f"{now:%A} {now.day} {now:%B %Y}",
        "{time}": f"{now:%H:%M}",
        "{place}": kiosk.place,
        "{name}": kiosk.name,
    }
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text
