#!/bin/sh
# profile.sh OUT
#
# Says what the accepted rows look like: per column the empty, distinct, least and greatest values.
set -eu
. ./step.sh

progress 10 looking at every column
awk -F, '
    BEGIN { columns = split("receipt store region date item quantity cents", name, " ") }
    {
        for (i = 1; i <= columns; i++) {
            value = i > 5 ? $i + 0 : $i ""
            if ($i == "") { empty[i]++; continue }
            if (!((i, $i) in seen)) { seen[i, $i]; distinct[i]++ }
            if (!(i in least) || value < least[i]) least[i] = value
            if (!(i in most) || value > most[i]) most[i] = value
        }
    }
    function text(i, value) {
        if (!distinct[i]) return "null"
        if (i > 5) return value
        gsub(/["\\]/, "\\\\&", value)
        return "\"" value "\""
    }
    END {
        printf "{\"rows\":%d,\"columns\":{", NR
        for (i = 1; i <= columns; i++)
            printf "%s\"%s\":{\"empty\":%d,\"distinct\":%d,\"min\":%s,\"max\":%s}", \
                (i > 1 ? "," : ""), name[i], empty[i], distinct[i], text(i, least[i]), text(i, most[i])
        print "}}"
    }
' "$here/rows.csv" > profile.json
keep profile.json
echo "profiled $(rows "$here/rows.csv") rows"
progress 100 finished
mv -f profile.json "$JOBWRIGHT_OUTPUT"
