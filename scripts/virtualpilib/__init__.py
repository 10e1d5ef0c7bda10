"""`scripts/virtual-pi`: builds and boots a machine for the kiosk that needs no hardware."""
