"""The library under the BuildKit runbook: steps, and what they stand on."""

__version__ = "0.1.0"
