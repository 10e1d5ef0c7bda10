"""What a person sees when there is no card: our sentence, and none of libasound's."""

import os
import subprocess
import sys

OPEN = """
from voicekiosk.audio.pcm import open_pcm
from voicekiosk.config import schema
from voicekiosk.errors import DeviceError
for settings in (schema.Capture(device="Nope"), schema.Playback(device="hw:7"), schema.Capture()):
    try:
        open_pcm(settings)
    except DeviceError as error:
        print(error)
"""


def test_a_device_that_is_not_there_is_told_in_one_sentence_on_standard_error(tmp_path):
    # No card and no sound server, whatever this machine has.
    configuration = tmp_path / "asound.conf"
    configuration.write_text("</usr/share/alsa/alsa.conf>\ndefaults.pcm.card 31\ndefaults.ctl.card 31\n")
    environment = os.environ | {"ALSA_CONFIG_PATH": str(configuration)}
    done = subprocess.run(
        [sys.executable, "-c", OPEN], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 3
