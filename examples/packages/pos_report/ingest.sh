#!/bin/sh
# ingest.sh OUT REGION DAY
#
# Takes the rows of the tills in: those of one region, or of all, up to the end of a day. Rows that
# make no sense are kept apart in rejected.tsv, each with its line and its fault, and counted.
set -eu
. ./step.sh
region=$2 day=$3

progress 10 reading the tills
awk -F, -v OFS=, -v region="$region" -v day="$day" '
    function fault() {
        if (NF != 7) return "not 7 fields"
        if ($2 == "") return "no store"
        if ($3 !~ /^(north|south|east|west)$/) return "unknown region"
        if ($4 !~ /^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]$/) return "no date"
        if ($6 !~ /^[1-9][0-9]*$/) return "no quantity"
        if ($7 !~ /^[0-9]+[.][0-9][0-9]$/) return "no price"
        return ""
    }
    BEGIN { printf "line\tfault\trow\n" > "rejected.tsv" }
    NR == 1 { next }
    (why = fault()) != "" { printf "%d\t%s\t%s\n", NR, why, $0 > "rejected.tsv"; next }
    region != "all" && $3 != region { next }
    $4 > day { next }
    { sub(/[.]/, "", $7); print $1, $2, $3, $4, $5, $6, $7 + 0 }
' sales.csv > rows.csv

progress 80 keeping what makes sense
keep rejected.tsv
keep rows.csv
read=$(($(rows sales.csv) - 1))
kept=$(rows rows.csv)
rejected=$(($(rows rejected.tsv) - 1))
echo "read $read rows: kept $kept of region $region up to $day, rejected $rejected"
progress 100 finished
result '{"read":%d,"kept":%d,"rejected":%d}\n' "$read" "$kept" "$rejected"
