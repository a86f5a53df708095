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

cp "$here/by_store.csv" "$here/by_item.jsonl" .
keep by_store.csv "$published"
progress 40 by_store.csv is out
keep by_item.jsonl "$published"
progress 80 by_item.jsonl is out
cksum by_store.csv by_item.jsonl > sums
awk -v run="$JOBWRIGHT_RUN_ID" '
    BEGIN { printf "{\"run\":%d,\"files\":[", run }
    { printf "%s{\"name\":\"%s\",\"cksum\":%s,\"bytes\":%s}", (NR > 1 ? "," : ""), $3, $1, $2 }
    END { print "]}" }
' sums > manifest.json
keep manifest.json "$published"
echo "published 2 files and their manifest"
progress 100 finished
mv -f manifest.json "$JOBWRIGHT_OUTPUT"
