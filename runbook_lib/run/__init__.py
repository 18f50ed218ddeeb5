"""Headless runs through papermill: live progress, resume, journal, report."""
