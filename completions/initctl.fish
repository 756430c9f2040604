# fish completion for initctl and the short names

function __tend_jobs
    initctl list 2>/dev/null | string match -rg '^(\S+) ' | sort -u
end

function __tend_commands
    initctl help | string match -rg '^  ([a-z-]+ .*)' | string replace -r ' +' \t
end

set -l with_job start stop restart reload status signal why log health usage show-config check-config
complete -c initctl -f
complete -c initctl -n __fish_use_subcommand -a '(__tend_commands)'
complete -c initctl -n "__fish_seen_subcommand_from $with_job" -a '(__tend_jobs)'
complete -c initctl -n '__fish_seen_subcommand_from log-priority' -a 'debug info message warn error fatal'
complete -c initctl -n '__fish_seen_subcommand_from telinit' -a '0 1 2 3 4 5 6 S q'
complete -c initctl -s q -l quiet -d 'print errors only'
complete -c initctl -s v -l verbose -d 'say more about failures'
complete -c initctl -l help -d 'print help'
for command in start stop restart reload status
    complete -c $command -f -a '(__tend_jobs)'
end
