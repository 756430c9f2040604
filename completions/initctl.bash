# bash completion for initctl, tend ctl and the short names

_tend_jobs() {
    initctl list 2>/dev/null | sed -n 's/^\([^[:space:]]*\) .*/\1/p' | sort -u
}

_tend_initctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prog=${COMP_WORDS[0]##*/} first=1 command= i
    case $prog in
    initctl) ;;
    tend) [ "${COMP_WORDS[1]}" = ctl ] || return; first=2 ;;
    *) command=$prog ;;
    esac
    if [ -z "$command" ]; then
        for ((i = first; i < COMP_CWORD; i++)); do
            case ${COMP_WORDS[i]} in
            -*) ;;
            *) command=${COMP_WORDS[i]}; break ;;
            esac
        done
    fi
    if [ -z "$command" ]; then
        COMPREPLY=($(compgen -W "$(initctl help | sed -n 's/^  \([a-z-]*\).*/\1/p')" -- "$cur"))
        return
    fi
    case $cur in
    -*)
        COMPREPLY=($(compgen -W "$(initctl "$command" --help 2>/dev/null | sed -n 's/^.*\(--[a-z-]*\).*/\1/p')" -- "$cur"))
        return
        ;;
    esac
    case $command in
    start | stop | restart | reload | status | signal | why | log | health | usage | show-config | check-config)
        COMPREPLY=($(compgen -W "$(_tend_jobs)" -- "$cur")) ;;
    log-priority)
        COMPREPLY=($(compgen -W "debug info message warn error fatal" -- "$cur")) ;;
    telinit)
        COMPREPLY=($(compgen -W "0 1 2 3 4 5 6 S q" -- "$cur")) ;;
    esac
}

complete -F _tend_initctl initctl start stop restart reload status telinit
