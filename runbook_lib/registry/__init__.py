"""Registries: names, the docker config file, logins that are tried out, and proof of what was pushed."""
