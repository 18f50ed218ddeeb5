"""How soon is the builder Ready: the source document's manifest against ours, on one cluster, in turns.

Both run the same image, already on the node; the time is from `kubectl apply` to the Ready condition.
"""

from __future__ import annotations

import sys
from pathlib import Path

from measuring import environment, kubectl, namespace, report, seconds

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
OURS = (Path(__file__).parents[1] / "manifests" / "pod.privileged.yaml").read_text()
# The source document's probes; its image name is pinned so that both run the same bytes.
PROBE = "{exec: {command: [buildctl, debug, workers]}, initialDelaySeconds: 5, periodSeconds: 30}"
SEED = f"""
apiVersion: v1
kind: Pod
metadata: {{name: buildkitd}}
spec:
  containers:
    - name: buildkitd
      image: docker.io/moby/buildkit:v0.34.2
      readinessProbe: {PROBE}
      livenessProbe: {PROBE}
      securityContext: {{privileged: true}}
"""


def main() -> None:
    env = environment()
    with namespace(env, "bench-ready") as where:

        def ready(manifest: str) -> float:
            def work() -> None:
                kubectl(env, "-n", where, "apply", "-f", "-", stdin=manifest)
                kubectl(env, "-n", where, "wait", "--for=condition=Ready", "pod/buildkitd", "--timeout=120s")

            took = seconds(work)
            kubectl(env, "-n", where, "delete", "pod", "buildkitd", "--now")
            return took

        ready(OURS)  # brings the image to the node
        pairs = [(ready(SEED), ready(OURS)) for _ in range(ROUNDS)]
    seed, ours = zip(*pairs, strict=True)
    report(
        "apply to Ready, image on the node",
        ("the source document's manifest", seed),
        ("pod.privileged.yaml", ours),
    )


if __name__ == "__main__":
    main()
