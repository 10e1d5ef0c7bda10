from tests.rigs.panel import chip, fake_gpio, loop, mock_pins

__all__ = ["chip", "fake_gpio", "loop", "mock_pins"]
