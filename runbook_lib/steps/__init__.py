"""The four steps and the clean-up, each check, plan, apply, verify over one settings object."""
