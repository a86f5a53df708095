#!/bin/sh
# by_item.sh OUT
#
# Writes the revenue of each item as JSON lines, the best item first.
set -eu
. ./step.sh

awk -F '\t' '
    {
        gsub(/["\\]/, "\\\\&", $1)
        printf "{\"item\":\"%s\",\"lines\":%d,\"quantity\":%d,\"revenue\":%d.%02d}\n", \
            $1, $2, $3, int($4 / 100), $4 % 100
    }
' "$here/items.tsv" > by_item.jsonl
keep by_item.jsonl
echo "wrote $(rows by_item.jsonl) items"
progress 100 finished
result '{"file":"by_item.jsonl","rows":%d}\n' "$(rows by_item.jsonl)"
