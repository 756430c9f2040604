. "${LIB:-$(dirname "$0")/../lib.sh}"
c start a
wl p1 1
p=$(mainpid a)
[ "$p" = "$(cat $T/p1)" ] && say the job process is the first one
kill -0 $p 2>/dev/null && say and it lives
c status a
c stop a
kill -0 $p 2>/dev/null || say it has ended
c status a
