#!/usr/bin/env bash
# Runs examples/packages/pos_report with the command `jobwright`, twice, and changes nothing but the
# configuration: as processes of this machine, and on a cluster. Both must publish the same files.
#
#   tests/configured.sh slurm        SLURMRESTD_URL, SLURM_JWT, SLURM_SHARED
#   tests/configured.sh kubernetes   KUBECONFIG, KUBERNETES_SHARED, KUBERNETES_IMAGE
#
# The variables say where the cluster is, and name a folder that all its machines see.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${CARGO_TARGET_DIR:-target}/debug/jobwright
kind=${1:-}

case $kind in
slurm) shared=$SLURM_SHARED ;;
kubernetes) shared=$KUBERNETES_SHARED ;;
*)
    sed -n '5,6s/^# *//p' "$0" >&2
    exit 2
    ;;
esac
folder=$(mktemp -d "$shared/configured.XXXXXX")
trap 'rm -rf "$folder"' EXIT

configuration() {
    case $1 in
    processes) ;;
    slurm)
        cat <<TOML
[executors.local]
kind = "slurm"
url = "$SLURMRESTD_URL"
user = "$(id -un)"
token = "slurm-jwt"
folder = "$folder/jobs"
TOML
        ;;
    kubernetes)
        cat <<TOML
[executors.local]
kind = "kubernetes"
kubeconfig = "$KUBECONFIG"
image = "$KUBERNETES_IMAGE"

[executors.local.pod]
hostNetwork = true
volumes = [{ name = "shared", hostPath = { path = "$folder" } }]

[[executors.local.pod.containers]]
name = "work"
imagePullPolicy = "Never"
volumeMounts = [{ name = "shared", mountPath = "$folder" }]
TOML
        ;;
    esac
}

# report WHERE: imports the package and runs it there.
report() {
    local here=$folder/$1
    mkdir "$here"
    configuration "$1" >"$here/jobwright.toml"
    jobwright() { "$program" --data "$here/data" --config "$here/jobwright.toml" "$@"; }
    jobwright deployments create report
    jobwright releases import report examples/packages/pos_report
    jobwright run report --date 2026-10-01T08:00:00Z --set day=2026-09-15 --set "out=$here/out"
}

export JOBWRIGHT_SECRET_SLURM_JWT=${SLURM_JWT:-}
report processes
report "$kind"
diff -r "$folder/processes/out/published" "$folder/$kind/out/published"
files=$(find "$folder/$kind/out/published" -type f | wc -l)
echo "by configuration alone, processes and $kind published the same $files files"
