"""The images the sandbox serves, assembled from its own programs without a container engine."""
