"""What stands around the kiosk in the virtual Pi: a mouth, an ear, a finger, eyes, a network, a service."""
