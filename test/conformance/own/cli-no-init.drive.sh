. "${LIB:-$(dirname "$0")/../lib.sh}"
if command -v unshare >/dev/null 2>&1; then
  for v in list 'status a' 'start a' 'emit x' version; do unshare -n $CTL $v >$T/.out 2>&1; rc=$?; mask <$T/.out; echo "rc=$rc"; done
fi
env -u UPSTART_SESSION $CTL --user list 2>&1; echo "rc=$?"
