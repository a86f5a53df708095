#!/usr/bin/env bash
# Tests the HTTP API from outside, with tools and clients that others wrote: tests/http.sh [KEYS]
#
#   schemathesis asks for everything that /openapi.json describes, in both versions, with all checks;
#   the polling loops of the public `trifacta` package wait for groups that end in every way;
#   the transcript of the README is what a server answers;
#   KEYS requests (default 1000), each sent by two clients at once under one key while the server is
#   killed now and then, make one run per key.
#
# Python packages are put into a cache folder, once per version. JOBWRIGHT_HTTP_SEED repeats what
# schemathesis drew; by default it draws the same each time.
set -euo pipefail
cd "$(dirname "$0")/.."

keys=${1:-1000}
seed=${JOBWRIGHT_HTTP_SEED:-1}
SCHEMATHESIS=4.32.5 TRIFACTA=8.5.1 TQDM=4.67.1

cargo build --locked -p jobwright-http --examples
bin=${CARGO_TARGET_DIR:-target}/debug/examples
scratch=$(mktemp -d)
declare -A servers=()
# Else hypothesis makes a folder where it is called.
export HYPOTHESIS_STORAGE_DIRECTORY=$scratch/hypothesis

clean_up() {
    local pid
    for pid in "${servers[@]}"; do kill "$pid" || true; done
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Finds a Python that schemathesis runs on.
python() {
    local name
    for name in python3.13 python3.12 python3.11 python3.10 python3; do
        if "$name" -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 10)' \
            2>"$scratch/python"; then
            command -v "$name"
            return
        fi
    done
    echo "Python 3.10 or later with \`venv\` is missing: as root, run \`apt-get install python3-venv\`" >&2
    return 1
}

# The trifacta package asks for a Python of 2016 to 2019 and for much that polling does not use:
# it is installed by itself, as it is, and the script says what stands in for the rest.
environment() {
    local cache=${XDG_CACHE_HOME:-$HOME/.cache}/jobwright
    venv=$cache/http-$SCHEMATHESIS-$TRIFACTA
    if [[ -e $venv/ready ]]; then return; fi
    mkdir -p "$cache"
    rm -rf "$venv"
    "$(python)" -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check "schemathesis==$SCHEMATHESIS"
    "$venv/bin/pip" install -q --disable-pip-version-check --no-deps --ignore-requires-python \
        "trifacta==$TRIFACTA" "tqdm==$TQDM"
    touch "$venv/ready"
}

# start NAME [OPTION…]: starts a server, and waits for its first line.
start() {
    local name=$1
    shift
    mkfifo "$scratch/$name.out"
    "$bin/serve" --token-file "$scratch/$name.token" "$@" >"$scratch/$name.out" &
    servers[$name]=$!
    if ! read -r -t 30 url <"$scratch/$name.out"; then
        echo "the server does not start" >&2
        return 1
    fi
}

stop() {
    kill "${servers[$1]}"
    wait "${servers[$1]}" || true
    unset "servers[$1]"
}

# ask PATH [CURL OPTION…]
ask() {
    local path=$1
    shift
    curl -sSf -o "$scratch/answer" -H "Authorization: Bearer $token" "$@" "$url$path"
}

# fuzz VERSION: deployments that can run, and job groups that ended, are there beforehand.
fuzz() {
    local version=$1 token url
    start "$version" --stream-seconds 1
    token=$(<"$scratch/$version.token")
    local id
    for id in 1 2 3; do
        ask "/v4/deployments" -H 'content-type: application/json' -d "{\"name\":\"sales $id\"}"
        ask "/v4/deployments/$id/releases" -F data=@tests/http/package.yaml
        ask "/v4/deployments/$id/run" -X POST
    done
    local code=0
    "$venv/bin/schemathesis" --config-file tests/http/schemathesis.toml run "$url/openapi.json" \
        -H "Authorization: Bearer $token" --include-path-regex "^/$version/" --no-color \
        --seed "$seed" >"$scratch/$version.log" 2>&1 || code=$?
    stop "$version"
    if [[ $code != 0 ]]; then
        cat "$scratch/$version.log" >&2
        return "$code"
    fi
    sed -n "s|^ *\([0-9]* generated\)|/$version schemathesis: \1|p" "$scratch/$version.log"
}

polling() {
    local url
    start polling
    "$venv/bin/python" tests/http/trifacta_polling.py "$url" "$scratch/polling.token" \
        >"$scratch/polling.log" 2>&1 || {
        cat "$scratch/polling.log" >&2
        return 1
    }
    stop polling
    grep -a '^poll_' "$scratch/polling.log"
}

keys() {
    "$bin/keys" "$bin/serve" "$scratch/keys" "$keys" "$seed"
}

keys
tests/transcript.sh
environment
fuzz v3 &
first=$!
fuzz v4
wait "$first"
polling
