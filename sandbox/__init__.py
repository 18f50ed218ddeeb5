"""The embedded sandbox: a real Kubernetes node, BuildKit and an authenticated TLS registry on one machine."""
