. "${LIB:-$(dirname "$0")/../lib.sh}"
c log-priority
c log-priority info
c log-priority
c start a
c stop a
sleep 0.2
sed -e 's/pid [0-9]*/pid PID/' -e 's/([0-9]*)/(PID)/' $KMSG
c log-priority message
c notify-disk-writeable
c list-sessions
c notify-cgroup-manager-address x
