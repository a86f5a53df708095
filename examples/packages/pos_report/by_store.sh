#!/bin/sh
# by_store.sh OUT
#
# Writes the revenue of each store as CSV, the best store first.
set -eu
. ./step.sh

awk -F '\t' '
    BEGIN { print "store,lines,quantity,revenue" }
    { printf "%s,%d,%d,%d.%02d\n", $1, $2, $3, int($4 / 100), $4 % 100 }
' "$here/stores.tsv" > by_store.csv
keep by_store.csv
echo "wrote $(($(rows by_store.csv) - 1)) stores"
progress 100 finished
result '{"file":"by_store.csv","rows":%d}\n' $(($(rows by_store.csv) - 1))
