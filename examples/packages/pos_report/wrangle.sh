#!/bin/sh
# wrangle.sh OUT MIN_AMOUNT PACE
#
# Adds the rows up per store and per item, in whole cents. Rows worth less than MIN_AMOUNT euros are
# left out. Works in four parts and rests PACE seconds after each, so that a slow step can be seen
# at work, cancelled, or killed.
set -eu
. ./step.sh
min_amount=$2 pace=$3

total=$(rows "$here/rows.csv")
: > parts.tsv
for part in 1 2 3 4; do
    awk -F, -v part="$part" -v total="$total" -v min="$min_amount" '
        NR <= int(total * (part - 1) / 4) || NR > int(total * part / 4) { next }
        $6 * $7 < min * 100 { next }
        { count[$2 "\t" $5] += $6; cents[$2 "\t" $5] += $6 * $7; lines[$2 "\t" $5]++ }
        END { for (key in lines) printf "%s\t%d\t%d\t%.0f\n", key, lines[key], count[key], cents[key] }
    ' "$here/rows.csv" >> parts.tsv
    if [ "$pace" -gt 0 ]; then sleep "$pace"; fi
    progress $((part * 22)) "part $part of 4"
done

# Most revenue first; the name decides between equals, so that the files are always the same.
totals() {
    awk -F '\t' -v OFS='\t' -v by="$1" '
        { lines[$by] += $3; count[$by] += $4; cents[$by] += $5 }
        END { for (key in lines) printf "%s\t%d\t%d\t%.0f\n", key, lines[key], count[key], cents[key] }
    ' parts.tsv > unsorted.tsv
    sort -t "$(printf '\t')" -k 4,4nr -k 1,1 unsorted.tsv
}
totals 1 > stores.tsv
totals 2 > items.tsv
keep stores.tsv
keep items.tsv

cents=$(awk -F '\t' '{ sum += $4 } END { printf "%.0f\n", sum }' stores.tsv)
echo "added $total rows up to $(rows stores.tsv) stores and $(rows items.tsv) items"
progress 100 finished
result '{"stores":%d,"items":%d,"cents":%d}\n' "$(rows stores.tsv)" "$(rows items.tsv)" "$cents"
