package main

import "strings"

// synopsisEnd is where the part of usage ends that is shown after a wrong call.
var synopsisEnd = strings.Index(usage, "\n\n") + 1

const usage = `usage: tend [OPTION...] [--] [COMMAND [ARG...]]
       tend ctl COMMAND... | check [PATH...] | install DIR
       tend doctor | version | help

An init for containers: runs Upstart job files, or COMMAND alone, or both.

Jobs:
  --confdir DIR            read job files from DIR, not /etc/init (repeatable)
  --prepend-confdir DIR    read job files from DIR too, before the others
  --append-confdir DIR     read job files from DIR too, after the others
  --boot auto|none         emit a full Ubuntu's boot events, or startup only
  --mask NAME,...|none     jobs that events do not start (default: a host's own)
  --strict                 refuse to start when a job file is broken
  --startup-event NAME     the first event instead of startup
  --no-startup-event       no first event
  --no-inherit-env         do not pass the container's environment on to jobs
  --default-console TYPE   none, log (default), output or owner

End of the container:
  --essential JOB,...      stop the container when one of these jobs ends
  --idle exit|stay         what to do when nothing runs any more (default: exit)
  --command-wait SECONDS   start COMMAND after this time even if jobs are not up
  --stop-timeout SECONDS   total deadline of a stop (default: 9 with jobs, 29 in
                           Kubernetes, none with COMMAND alone; 0: none)
  -e, --remap-exit CODE    exit with 0 instead of CODE (repeatable)

Output:
  --log-format text|json   form of all lines (default: text)
  --job-output KIND        prefix (default), raw or none
  --logdir DIR             keep the jobs' output in files there as well
  --log-max-size SIZE      rotate these files at SIZE (default: 10M; 0: never)
  --log-files N            keep N files of a job (default: 3)
  --no-log                 treat "console log" as "console none"
  -q, --quiet              errors only
  -v, --verbose            more; -vv for debugging
  --debug                  as -vv

Process:
  -g, --kill-process-group signals go to COMMAND's whole process group
  -s, --subreaper          accepted for tini's sake: done anyway when not PID 1
  -w, --warn-on-reap       say when orphans are reaped
  -p, --parent-death-signal SIG
                           get SIG when the parent process dies
  --socket PATH            the control socket
  -h, --help               show this help
  --version                show the version

Every option --some-name can be given as the variable TEND_SOME_NAME.
See tend(8).

Examples:
  tend                                       run the jobs of /etc/init
  tend -- nginx -g 'daemon off;'             run one program, as tini does
  tend --confdir /etc/tend --essential web   stop when the job web ends
  tend install /sbin                         make initctl, start, ... there
`
