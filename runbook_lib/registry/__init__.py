"""Registries: references, docker config, login, probe, read-back, OCIR's own rules."""
