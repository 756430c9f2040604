. "${LIB:-$(dirname "$0")/../lib.sh}"
rm -r $LOGDIR
c start a; show trace
sleep 0.2; ls -d $LOGDIR 2>/dev/null || say no log directory
grep 'cannot\|failed' $KMSG
mkdir $LOGDIR
c start a; sleep 0.3; ls $LOGDIR
od -An -c $LOGDIR/a.log
