"""A stand-in for the AssemblyAI Voice Agent API on loopback, written from the protocol document alone."""

from voicekiosk.simulator.brain import Answer, Call, Heard, Result
from voicekiosk.simulator.scenario import Fault, Scenario
from voicekiosk.simulator.server import Settings, Simulator

__all__ = ["Answer", "Call", "Fault", "Heard", "Result", "Scenario", "Settings", "Simulator"]
