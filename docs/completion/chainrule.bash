# Completion for bash. Made by chainrule completion bash from the table of commands.
_chainrule()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local command=${COMP_WORDS[1]} words=
    COMPREPLY=()
    if [ "$COMP_CWORD" -gt 2 ]; then
        case "$command ${COMP_WORDS[2]}" in
        'flow theory' | 'flow map') command="$command ${COMP_WORDS[2]}" ;;
        esac
    fi
    case "$command $before" in
    'flow --try') return ;;
    'flow --steps') return ;;
    'flow --seeds') return ;;
    'flow --train-steps') return ;;
    'flow --html') COMPREPLY=($(compgen -f -- "$word")); return ;;
    'flow --svg') COMPREPLY=($(compgen -f -- "$word")); return ;;
    'flow --json') COMPREPLY=($(compgen -f -- "$word")); return ;;
    'flow --csv') COMPREPLY=($(compgen -f -- "$word")); return ;;
    'flow --tensorboard') COMPREPLY=($(compgen -f -- "$word")); return ;;
    'flow --depth') return ;;
    'flow --width') return ;;
    'flow --activation') words='sigmoid tanh relu leaky_relu gelu silu selu elu celu mish softplus softsign relu6 hardtanh hardsigmoid hardswish logsigmoid tanhshrink linear' ;;
    'flow --init') words='default xavier he lecun orthogonal' ;;
    'flow --sigma-w2') return ;;
    'flow --sigma-b2') return ;;
    'flow --norm') words='none batch layer rms' ;;
    'flow --residual') words='none pre post' ;;
    'flow --batch') return ;;
    'flow --optimiser') words='sgd momentum adam' ;;
    'flow --lr') return ;;
    'flow --task') words='digits random' ;;
    'flow --data') COMPREPLY=($(compgen -f -- "$word")); return ;;
    'flow --seed') return ;;
    'flow theory --activation') words='linear sigmoid tanh relu leaky_relu prelu elu celu selu silu gelu gelu_tanh mish softplus softsign logsigmoid tanhshrink hardtanh relu6 hardsigmoid hardswish softshrink hardshrink' ;;
    'flow theory --init') words='default xavier he lecun orthogonal' ;;
    'flow theory --sigma-b2') return ;;
    'flow theory --depth') return ;;
    'flow theory --width') return ;;
    'flow theory --sigma-w2') return ;;
    'flow theory --norm') words='none batch layer rms' ;;
    'flow theory --residual') words='none pre post' ;;
    'flow map --x') return ;;
    'flow map --y') return ;;
    'flow map --grid') return ;;
    'flow map --steps') return ;;
    'flow map --threads') return ;;
    'flow map --resume') COMPREPLY=($(compgen -f -- "$word")); return ;;
    'flow map --html') COMPREPLY=($(compgen -f -- "$word")); return ;;
    'flow map --depth') return ;;
    'flow map --width') return ;;
    'flow map --activation') words='sigmoid tanh relu leaky_relu gelu silu selu elu celu mish softplus softsign relu6 hardtanh hardsigmoid hardswish logsigmoid tanhshrink linear' ;;
    'flow map --lr') return ;;
    'flow map --batch') return ;;
    'flow map --sigma-b2') return ;;
    'flow map --init') words='default xavier he lecun orthogonal' ;;
    'flow map --sigma-w2') return ;;
    'flow map --norm') words='none batch layer rms' ;;
    'flow map --residual') words='none pre post' ;;
    'flow map --optimiser') words='sgd momentum adam' ;;
    'flow map --task') words='digits random' ;;
    'flow map --data') COMPREPLY=($(compgen -f -- "$word")); return ;;
    'flow map --seed') return ;;
    'profile --steps') return ;;
    'profile --threads') return ;;
    'profile --trace') COMPREPLY=($(compgen -f -- "$word")); return ;;
    esac
    [ -n "$words" ] || case "$command" in
    'flow') words=" theory map --try --steps --seeds --train-steps --html --svg --json --csv --tensorboard --depth --width --activation --init --sigma-w2 --sigma-b2 --norm --residual --batch --optimiser --lr --task --data --seed" ;;
    'flow theory') words=" --list --activation --init --sigma-b2 --depth --width --sigma-w2 --norm --residual" ;;
    'flow map') words=" --x --y --grid --steps --threads --resume --html --depth --width --activation --lr --batch --sigma-b2 --init --sigma-w2 --norm --residual --optimiser --task --data --seed" ;;
    'lesson') words="" ;;
    'ops') words="$(chainrule ops | sed 's/ .*//') --page" ;;
    'plan') words="$(chainrule plan | sed 's/ .*//')" ;;
    'profile') words="$(chainrule profile | sed 's/ .*//') --steps --threads --trace" ;;
    'graph') words="$(chainrule graph | sed 's/ .*//')" ;;
    'check') words="" ;;
    'completion') words="bash zsh" ;;
    'version') words="" ;;
    'help') words="flow flow theory flow map lesson ops plan profile graph check completion version help --man" ;;
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        words=' flow lesson ops plan profile graph check completion version help'
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _chainrule chainrule
