. "${LIB:-$(dirname "$0")/../lib.sh}"
ws svc start/running
cat >$JOBDIR/new.conf <<X
exec sleep 1000
pre-stop script
  touch $T/stopping
  while [ ! -e $T/go ]; do sleep 0.02; done
end script
X
kill -HUP 1
poll '$CTL status new >/dev/null 2>&1'; c status new
c start new
kill -INT 1
wl trace 1; show trace
wf stopping; say the stop has begun
: >$T/go
sleep 8
say tend has not ended
