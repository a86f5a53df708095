# shellcheck shell=sh
# Read by every script of this package (`. ./step.sh`). A script works in the directory of its own
# attempt and hands files on through the folder of its run, so an attempt that is killed leaves
# nothing half written there, and one that is run again writes the same files again.

LC_ALL=C
export LC_ALL

# The folder of this run: the only place where one step finds the files of another.
here=$1/run-$JOBWRIGHT_RUN_ID
mkdir -p "$here"

# keep FILE [FOLDER]: puts a finished file of this directory there in one step.
keep() {
    cp "$1" "${2:-$here}/.$1.$JOBWRIGHT_ATTEMPT"
    mv -f "${2:-$here}/.$1.$JOBWRIGHT_ATTEMPT" "${2:-$here}/$1"
}

# progress PERCENT WORDS: tells the engine how far the step is.
progress() {
    echo "::progress $*"
}

# result FORMAT [VALUE…]: leaves a JSON document for the steps that need this one. The last thing
# that a script does, since a result says that the work is done, also to an engine that came later.
result() {
    # shellcheck disable=SC2059 # the format is a literal of the calling script
    printf "$@" > result.json
    mv -f result.json "$JOBWRIGHT_OUTPUT"
}

# rows FILE: counts lines, without the blanks that some `wc` print.
rows() {
    awk 'END { printf "%d\n", NR }' "$1"
}
