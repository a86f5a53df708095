#!/usr/bin/env bash
# Runs the section "Over HTTP" of the README against a server, and compares what is answered with
# what is printed there: tests/transcript.sh [--write]
#
# Times and uuids are compared by their form, and the port is another one. `--write` puts the answers
# into the README. The server is `jobwright serve` with the README's own arguments where the command
# is part of the workspace, else the example server of crates/http.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
server=""
clean_up() {
    if [[ -n $server ]]; then kill "$server" || true; fi
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/debug
if [[ -d crates/cli ]]; then
    cargo build --locked -q -p jobwright-cli
    jobwright() { exec "$target/jobwright" "$@"; }
else
    cargo build --locked -q -p jobwright-http --example serve
    jobwright() {
        local options=()
        shift
        while [[ $# -gt 0 ]]; do
            # What the engines run is fixed in the example.
            if [[ $1 != --config ]]; then options+=("$1" "$2"); fi
            shift 2
        done
        exec "$target/examples/serve" "${options[@]}"
    }
fi

# The blocks of the section, one file each, with their kind as the name's end.
awk -v to="$scratch" '
    /^## / { inside = $0 == "## Over HTTP" }
    !inside { next }
    /^```/ { if (file) { close(file); file = "" } else { file = to "/block-" ++count "." substr($0, 4) }; next }
    file { print > file }
' README.md

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir "$scratch/place"
ln -s "$PWD/tests" "$scratch/place/tests"
sed "s/8080/$port/" "$scratch"/block-*.sh >"$scratch/server"
(cd "$scratch/place" && source "$scratch/server") >"$scratch/server.log" 2>&1 &
server=$!
for ((tries = 0; tries < 300; tries++)); do
    if curl -sf -o "$scratch/ready" "http://127.0.0.1:$port/readyz"; then break; fi
    if ! kill -0 "$server"; then break; fi
    sleep 0.1
done
if [[ ! -s $scratch/ready ]]; then
    cat "$scratch/server.log" >&2
    echo "the server of the README does not start" >&2
    exit 1
fi

# Runs the commands of all blocks in one shell, and prints them with what they answer.
cat "$scratch"/block-*.console | awk '
    function quote(text) { gsub(/\047/, "\047\\\047\047", text); return "\047" text "\047" }
    /^\$ / { command = substr($0, 3); shown = $0; more = /\\$/ }
    !/^\$ / && more { command = command "\n" $0; shown = shown "\n" $0; more = /\\$/ }
    command != "" && !more {
        printf "printf \047%%s\\n\047 %s\n", quote(shown)
        print command
        print "if [[ $? != 0 ]]; then exit 1; fi"
        # Answers have no line end of their own.
        if (command ~ /^api \047?\//) print "echo"
        command = ""
    }
' | sed "s|http://127.0.0.1:8080|http://127.0.0.1:$port|" >"$scratch/commands"
(cd "$scratch/place" && bash "$scratch/commands") | sed "s/127.0.0.1:$port/127.0.0.1:8080/" >"$scratch/found"

if [[ ${1:-} == --write ]]; then
    python3 - "$scratch/found" <<'END'
import re, sys

found = re.split(r"(?m)^(?=\$ )", open(sys.argv[1]).read())[1:]
head, mark, rest = open("README.md").read().partition("## Over HTTP\n")
section, end, tail = rest.partition("\n## ")

def answered(block):
    count = len(re.findall(r"(?m)^\$ ", block[0]))
    told, found[:count] = "".join(found[:count]), []
    return "```console\n" + told + "```"

section = re.sub(r"```console\n.*?```", answered, section, flags=re.S)
open("README.md", "w").write(head + mark + section + end + tail)
END
    exit
fi

normal() {
    sed -E 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/[time]/g; s/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/[uuid]/g' "$1"
}
cat "$scratch"/block-*.console >"$scratch/expected"
if ! diff -u <(normal "$scratch/expected") <(normal "$scratch/found"); then
    echo "the README does not print what the server answers: tests/transcript.sh --write" >&2
    exit 1
fi
echo "the transcript of the README: $(grep -c "^\$ api '\?/" "$scratch/found") answers as printed"
