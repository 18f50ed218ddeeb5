"""One node of Kubernetes, its runtime and its registry, as plain processes of this machine."""
