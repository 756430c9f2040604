. "${LIB:-$(dirname "$0")/../lib.sh}"
for j in dflt set neg oom; do
 c start $j; poll "grep -q '^$j\|^defaults cwd' $LOGDIR/$j.log"; sleep 0.1; tr -d '\r' <$LOGDIR/$j.log
done
c start badchdir
c start badlimit
sleep 0.2
grep 'cannot\|failed' $KMSG
