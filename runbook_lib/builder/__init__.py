"""The builder: where buildctl comes from, how it is called, its progress parsed."""
