"""A /sys of our own, with sound cards that come and go."""

import shutil
from pathlib import Path


class Sysfs:
    """Sound cards as the kernel shows them, below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sound = root / "class" / "sound"
        self.sound.mkdir(parents=True)

    def add(self, index: int, card_id: str, nodes: str, usb: str | None = None, product: str = "") -> None:
        """Add a card with `nodes` like "0p 0c 1p", on a USB socket if `usb` says which."""
        card = self.sound / f"card{index}"
        card.mkdir()
        (card / "id").write_text(card_id + "\n")
        if usb is None:
            device = self.root / "devices" / "platform" / card_id
            device.mkdir(parents=True)
        else:
            device = self.root / "devices" / "usb1" / usb / f"{usb}:1.0"
            device.mkdir(parents=True)
            (device.parent / "product").write_text(product + "\n")
        (card / "device").symlink_to(device)
        for node in nodes.split():
            (self.sound / f"pcmC{index}D{node}").mkdir()
        (self.sound / f"controlC{index}").mkdir()

    def remove(self, index: int) -> None:
        """Unplug a card."""
        shutil.rmtree((self.sound / f"card{index}" / "device").resolve())
        for node in [*self.sound.glob(f"*C{index}"), *self.sound.glob(f"pcmC{index}D*")]:
            shutil.rmtree(node)
        shutil.rmtree(self.sound / f"card{index}")
