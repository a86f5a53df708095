#!/usr/bin/env bash
# Runs every example and compares what it prints: tests/examples.sh [CASE…]
#
# A case is a file tests/examples/NAME.txt. Its first line is the command, `$ EXAMPLE ARGUMENT…`; a
# second line `? N` gives the exit code where that is not 0; the rest is what the example prints on
# both streams. `[..]` stands for any text within a line, a line `...` for any number of lines, and
# [TMP] for the temporary folder, also among the arguments. Every example has at least one case.
# JOBWRIGHT_UPDATE=1 writes what was printed into the cases.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

examples=()
for file in examples/*.rs; do
    if [[ -e $file ]]; then examples+=("$(basename "$file" .rs)"); fi
done
cases=()
if [[ $# -gt 0 ]]; then
    for name in "$@"; do cases+=("tests/examples/$name.txt"); done
else
    for file in tests/examples/*.txt; do
        if [[ -e $file ]]; then cases+=("$file"); fi
    done
fi

bin=${CARGO_TARGET_DIR:-target}/debug/examples
packages=(-p jobwright -p jobwright-kubernetes -p jobwright-slurm -p jobwright-spark)
cargo build --locked "${packages[@]}" --examples
# What is compared is what people see, and a backtrace is for those who ask.
export RUST_BACKTRACE=0

failed=0
for example in "${examples[@]}"; do
    if ! grep -qs "^\$ $example\( \|\$\)" tests/examples/*.txt; then
        echo "examples/$example.rs: no case in tests/examples runs it"
        failed=1
    fi
done

# Tells on standard error where the lines of the first file do not fit those of the second.
compare() {
    awk '
        function fits(pattern, line,    parts, count, i, at) {
            count = split(pattern, parts, /\[\.\.\]/)
            if (count < 2) return pattern == line
            if (substr(line, 1, length(parts[1])) != parts[1]) return 0
            line = substr(line, length(parts[1]) + 1)
            for (i = 2; i < count; i++) {
                if (parts[i] == "") continue
                if (!(at = index(line, parts[i]))) return 0
                line = substr(line, at + length(parts[i]))
            }
            at = length(line) - length(parts[count]) + 1
            return at >= 1 && substr(line, at) == parts[count]
        }
        NR == FNR { want[++wanted] = $0; next }
        { got[++found] = $0 }
        END {
            i = 1
            skip = 0
            for (j = 1; j <= found; j++) {
                while (i <= wanted && want[i] == "...") { skip = 1; i++ }
                if (i <= wanted && fits(want[i], got[j])) { i++; skip = 0; continue }
                if (skip) continue
                printf "line %d: expected: %s\n", j, i <= wanted ? want[i] : "(the end)"
                printf "line %d: found:    %s\n", j, got[j]
                exit 1
            }
            while (i <= wanted && want[i] == "...") i++
            if (i <= wanted) { printf "the end, expected: %s\n", want[i]; exit 1 }
        }
    ' "$1" "$2" >&2
}

passed=0
for case in "${cases[@]}"; do
    name=$(basename "$case" .txt)
    tmp=$scratch/$name
    mkdir "$tmp"
    read -r _ example arguments <"$case"
    read -r -a words <<<"${arguments//\[TMP\]/$tmp}"
    expected_code=$(sed -n '2s/^? //p' "$case")
    code=0
    TMPDIR=$tmp "$bin/$example" "${words[@]}" >"$scratch/raw" 2>&1 </dev/null || code=$?
    sed "s|$tmp|[TMP]|g" "$scratch/raw" >"$scratch/got"
    head -n 1 "$case" >"$scratch/head"
    if [[ $code != 0 ]]; then echo "? $code" >>"$scratch/head"; fi
    if [[ ${JOBWRIGHT_UPDATE:-} == 1 ]]; then cat "$scratch/head" "$scratch/got" >"$case"; fi
    sed -e 1d -e '2{/^? /d;}' "$case" >"$scratch/want"
    if [[ $code != "${expected_code:-0}" && ${JOBWRIGHT_UPDATE:-} != 1 ]]; then
        echo "$name: exit code $code, expected ${expected_code:-0}" >&2
        cat "$scratch/got" >&2
        failed=1
    elif ! compare "$scratch/want" "$scratch/got"; then
        echo "$name: prints something else than $case says; all of it:" >&2
        cat "$scratch/got" >&2
        failed=1
    else
        echo "$name: as expected"
        passed=$((passed + 1))
    fi
done
echo "$passed of ${#cases[@]} cases as expected"
exit "$failed"
