#!/usr/bin/env bash
# Kills `quickstart` with SIGKILL at random moments and lets the next one go on: tests/kill9.sh [N]
#
# N rounds, by default 5, each in a folder of its own. In every second round `wrangle` rests, so that
# kills hit it; in the others everything takes a tenth of a second, and kills hit what is between.
# A round has one or two kills and ends with a start that is left alone. After it:
#
#   what was in the journal at a kill is in it at the end, and no more was done about an ended job;
#   both runs happened once, and every job and job group of them succeeded;
#   no attempt ran that is not in the journal;
#   no process of the folder is left;
#   the published files are those of a run without kills.
#
# JOBWRIGHT_KILL9_SEED repeats the kills of an earlier call.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-5}
seed=${JOBWRIGHT_KILL9_SEED:-$(($(date +%s) % 32768))}
RANDOM=$seed
echo "seed $seed: JOBWRIGHT_KILL9_SEED=$seed tests/kill9.sh $rounds"

cargo build --locked --examples
bin=${CARGO_TARGET_DIR:-target}/debug/examples
scratch=$(mktemp -d)
running=""

# Finds the processes that the attempts below a folder started, by their environment.
processes() {
    grep -lsazF "JOBWRIGHT_OUTPUT=$1/" /proc/[0-9]*/environ | cut -d / -f 3 || true
}

clean_up() {
    if [[ -n $running ]]; then kill -KILL "$running" || true; fi
    local pid
    for pid in $(processes "$scratch"); do kill -KILL "$pid" || true; done
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

milliseconds() {
    local now=${EPOCHREALTIME/[.,]/}
    echo $((now / 1000))
}

# rest MILLISECONDS
rest() {
    sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"
}

violations=0
violation() {
    echo "round $round: $1" >&2
    violations=$((violations + 1))
}

start() {
    "$bin/quickstart" --dir "$dir" --pace "$pace" >>"$dir.out" 2>&1 &
    running=$!
}

# Starts quickstart and kills it after a random time; false if it had finished by then.
start_and_kill() {
    start
    rest $((RANDOM % (span + 1)))
    local code=0
    # The shell tells about a killed job on its standard error.
    { kill -KILL "$running" && wait "$running"; } 2>"$scratch/told" || code=$?
    running=""
    if [[ $code == 137 ]]; then return 0; fi
    return 1
}

journal() {
    if [[ -e $dir/store.db ]]; then "$bin/kill9_journal" "$dir/store.db"; fi
}

# check_journal BEFORE AFTER: what the journal said at a kill still holds.
check_journal() {
    local found
    found=$(awk '
        FILENAME == ARGV[1] { before[$0]; if ($3 == "job_ended") ended[$4]; next }
        { after[$0] }
        $0 in before { next }
        $3 ~ /^(ready|requested|started|retry|job_ended)$/ {
            split($4, job, "-")
            if (job[1] in ended) print "an ended job was touched again: " $0
        }
        END { for (line in before) if (!(line in after)) print "lost from the journal: " line }
    ' "$1" "$2")
    if [[ -n $found ]]; then violation "$found"; fi
}

# check_end AFTER: everything happened, once, and ended well.
check_end() {
    local found folder
    found=$(awk '
        $3 == "accepted" { groups++ }
        $3 == "group_ended" && $4 == "Succeeded" { ended++ }
        $3 == "job_ended" { if ($5 != "Succeeded") print "ended badly: " $0; jobs[$4]++ }
        END {
            if (groups != 2) print groups + 0 " job groups instead of 2"
            if (ended != 2) print ended + 0 " job groups ended well instead of 2"
            for (job in jobs) { count++; if (jobs[job] > 1) print "job " job " ended twice" }
            if (count != 12) print count + 0 " jobs ended instead of 12"
        }
    ' "$1")
    if [[ -n $found ]]; then violation "$found"; fi
    for folder in "$dir"/attempts/*/*/; do
        folder=${folder%/}
        if ! grep -q " requested ${folder##*/} " "$1"; then
            violation "an attempt that is not in the journal: $folder"
        fi
    done
}

# check_files AFTER: the published files are those of the reference. Manifests name their run.
check_files() {
    local run runs=() file files=() at=0
    mapfile -t runs < <(awk '$3 == "accepted" { print $4 }' "$1")
    for run in "${runs[@]}"; do
        at=$((at + 1))
        files=("$dir/report/published/run-$run"/*)
        if [[ ${#files[@]} != 3 ]]; then violation "run $run published ${#files[*]} files"; fi
        for file in "${files[@]}"; do
            if ! sed "s/\"run\":$run,/\"run\":$at,/" "$file" |
                cmp -s - "$scratch/reference/report/published/run-$at/${file##*/}"; then
                violation "$file is not what it should be"
            fi
        done
    done
}

# A run without kills: what it publishes is right by definition, how long it takes sets the span.
round=reference dir=$scratch/reference pace=0
began=$(milliseconds)
start
wait "$running" || { cat "$dir.out"; exit 1; }
running=""
quick=$(($(milliseconds) - began))
journal >"$scratch/after"
check_end "$scratch/after"
if [[ $(awk '$3 == "accepted" { printf "%s ", $4 }' "$scratch/after") != "1 2 " ]]; then
    violation "the runs of a new folder are not 1 and 2"
fi

if [[ $violations != 0 ]]; then exit 1; fi

kills=0 midway=0 again=0
for ((round = 1; round <= rounds; round++)); do
    dir=$scratch/round-$round
    pace=$((round % 2))
    span=$((quick + 8000 * pace))
    count=0
    for ((kill = 0; kill <= RANDOM % 2; kill++)); do
        if ! start_and_kill; then break; fi
        kills=$((kills + 1)) count=$((count + 1))
        journal >"$scratch/before-$count"
        # More groups accepted than ended, or no second run yet: something was left to do.
        if [[ $(grep -c ' group_ended ' "$scratch/before-$count" || true) != 2 ]]; then
            midway=$((midway + 1))
        fi
    done
    start
    if ! timeout 120 tail --pid="$running" -f /dev/null; then
        violation "it did not finish within two minutes"
        kill -KILL "$running"
    fi
    code=0
    wait "$running" || code=$?
    running=""
    if [[ $code != 0 ]]; then violation "the last start ended with $code"; fi
    left=$(processes "$dir")
    if [[ -n $left ]]; then violation "processes are left: ${left//$'\n'/ }"; fi
    journal >"$scratch/after"
    for ((at = 1; at <= count; at++)); do
        check_journal "$scratch/before-$at" "$scratch/after"
    done
    check_end "$scratch/after"
    check_files "$scratch/after"
    again=$((again + $(grep -c ' requested ' "$scratch/after" || true) - 12))
    if [[ $violations != 0 ]]; then
        cat "$dir.out" "$scratch/after" >&2
        exit 1
    fi
done

echo "$rounds rounds, $kills kills, $midway of them with work left, $again attempts lost and made" \
    "again: every job group ended right, no ended job ran again, no process was left"
