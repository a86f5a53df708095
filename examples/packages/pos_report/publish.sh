#!/bin/sh
# publish.sh OUT
#
# Puts both files where readers look for them, then the manifest that names them with checksums.
# Each file appears in one step and the manifest last, so who begins with the manifest never reads
# half of a report.
set -eu
. ./step.sh
published=$1/published/run-$JOBWRIGHT_RUN_ID
mkdir -p "$published"

entry() {
    cksum < "$1" | awk -v name="$1" '{ printf "{\"name\":\"%s\",\"cksum\":%s,\"bytes\":%s}", name, $1, $2 }'
}

cp "$here/by_store.csv" "$here/by_item.jsonl" .
keep by_store.csv "$published"
progress 40 by_store.csv is out
keep by_item.jsonl "$published"
progress 80 by_item.jsonl is out
printf '{"run":%s,"files":[%s,%s]}\n' \
    "$JOBWRIGHT_RUN_ID" "$(entry by_store.csv)" "$(entry by_item.jsonl)" > manifest.json
keep manifest.json "$published"
echo "published 2 files and their manifest"
cp manifest.json "$JOBWRIGHT_OUTPUT"
progress 100 done
