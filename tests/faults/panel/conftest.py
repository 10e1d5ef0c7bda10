from tests.rigs.panel import chip, fake_gpio, loop

__all__ = ["chip", "fake_gpio", "loop"]
