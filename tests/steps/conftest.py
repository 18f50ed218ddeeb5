"""The sandbox's namespace for a module's tests."""

from cluster_lab import site_fixture

__all__ = ["site_fixture"]
