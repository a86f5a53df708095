# What a job of the fault rig does: it leaves a line when it begins, one in every fifth of a second
# as long as it lives, and one when it ends, in a file that all attempts of the job share.
# The clock is the kernel's own, which all processes of the machine read alike.
file=${0%/*}/evidence/$JOBWRIGHT_JOB_ID
say() {
    read -r up idle </proc/uptime
    printf '%s %s %s %s\n' "$JOBWRIGHT_ATTEMPT" "$1" "$up" "$$" >>"$file"
}
say start
left=$1
while [ "$left" -gt 0 ]; do
    sleep 0.2
    say beat
    left=$((left - 1))
done
say end
