. "${LIB:-$(dirname "$0")/../lib.sh}"
bg S start a
ws a spawned
c status a
sleep 0.3; isdone S
bg P stop a
fin P
fin S
c status a
c start --no-wait a
ws a spawned
c status a
kill $($CTL status a | sed -n 's/.*process //p')
ws a stop/waiting
say dies before forking
c start dies
c status dies
