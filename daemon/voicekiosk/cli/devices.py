"""`voicekiosk devices`: the sound cards by the names that stay, and which of them would be used."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voicekiosk.audio.survey import CardReport, Choice

DEFAULT_CONFIG = Path("/etc/voicekiosk/config.toml")


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "devices",
        help="list the sound cards and say which would be used",
        description="List the sound cards with the names that stay the same, what each can do, and which "
        "the configuration leads to. Works while the kiosk runs; a device in use cannot be asked then.",
    )
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="default: %(default)s"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the cards and the choices."""
    from dataclasses import asdict

    from voicekiosk.audio.survey import choose, survey
    from voicekiosk.config.load import load
    from voicekiosk.config.schema import Config
    from voicekiosk.service.render import json_text

    config = load(args.config) if args.config.exists() else Config()
    cards = survey()
    choices = {"capture": choose(config.audio.capture), "playback": choose(config.audio.playback)}
    if args.json:
        chosen = {
            direction: {
                "setting": choice.setting,
                "chosen": choice.pcm_name,
                "chosen_card": choice.card,
                "problem": choice.problem,
            }
            for direction, choice in choices.items()
        }
        print(json_text({"cards": [asdict(card) for card in cards], **chosen}))
        return 0
    for card in cards:
        print(_card_text(card))
    if not cards:
        print("no sound card")
    print(_choice_text("microphone", choices["capture"]))
    print(_choice_text("loudspeaker", choices["playback"]))
    return 0


def _card_text(report: "CardReport") -> str:
    card = report.card
    usb = f", usb:{card.usb_path}" if card.usb_path else ""
    lines = [f'"{card.id}"{usb} ({card.name})']
    for able in report.abilities:
        what = able.direction.noun
        if able.problem:
            lines.append(f"  {what:12} {able.pcm_name}: {able.problem}")
            continue
        auto = f" (auto: {able.auto_rate_hz} Hz)" if able.auto_rate_hz else ""
        channels = ", ".join(map(str, able.channels[:8])) + (" …" if len(able.channels) > 8 else "")
        formats = ", ".join(able.formats) or "no format that is usable here"
        lines.append(f"  {what:12} {able.pcm_name}: {able.rates}{auto}; {formats}; {channels} channels")
    return "\n".join(lines)


def _choice_text(what: str, choice: "Choice") -> str:
    found = choice.problem or f'"{choice.setting}" is {choice.pcm_name}'
    return f"{what:12} {found}"
