. "${LIB:-$(dirname "$0")/../lib.sh}"
for j in load switch cg; do c start $j; done
show trace
# Why not is the kernel's matter.
grep cannot $KMSG | sed 's/\(profile\|cpu\) \([^:]*\): .*/\1 \2: REASON/'
