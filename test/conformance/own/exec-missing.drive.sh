. "${LIB:-$(dirname "$0")/../lib.sh}"
for j in direct noexec prestart resp chroot poststart; do c start $j; done
c status poststart
wl w 5
q start shell; poll 'grep -q "^shell " $T/w'
grep -v '^w ' $T/w | sort
sleep 0.2
grep 'cannot\|failed' $KMSG | sed 's/([0-9]*)/(PID)/' | sort | uniq -c
