#compdef chainrule
# Made by chainrule completion zsh from the table of commands.
_chainrule()
{
    local command=$words[2]
    local -a commands
    if (( CURRENT == 2 )); then
        commands=(
            'flow:why a network does not train\: the gradient'\''s way, explained and repaired'
            'lesson:how gradients flow, shown step by step'
            'ops:the operations\: how they are called, shapes, gradients'
            'plan:what a run of a built-in graph does, and the memory that it takes'
            'profile:where the time of a built-in graph'\''s steps goes'
            'graph:a built-in graph, forward and backward, for Graphviz'
            'check:this build\: kernels, bits, speed beside the machine'\''s limit'
            'completion:completion for a shell'
            'version:version, and kernels in use'
            'help:this text, or more of a command'
        )
        _describe command commands
        return
    fi
    case "$command $words[3]" in
    'flow theory' | 'flow map') command="$command $words[3]" ;;
    esac
    case $command in
    'flow')
        _arguments "*: :( theory map)" \
            '--try=[remedies to prove, by commas, joined by + where they belong together\: he,relu+he,batch_norm; auto\: those that the diagnosis names]:LIST:' \
            '--steps=[steps that are trained and watched]:N:' \
            '--seeds=[pairs of trainings, without and with a remedy]:N:' \
            '--train-steps=[steps of each of them]:N:' \
            '--html=[the report as a page; - is standard output, here and below]:FILE:_files' \
            '--svg=[the depth profile as a drawing]:FILE:_files' \
            '--json=[all of it as JSON]:FILE:_files' \
            '--csv=[a row for each layer and step]:FILE:_files' \
            '--tensorboard=[the history as an event file]:FILE:_files' \
            '--depth=[hidden layers]:N:' \
            '--width=[units of each]:N:' \
            '--activation=[behind each layer]:NAME:(sigmoid tanh relu leaky_relu gelu silu selu elu celu mish softplus softsign relu6 hardtanh hardsigmoid hardswish logsigmoid tanhshrink linear)' \
            '--init=[how weights are drawn; default\: uniform, biases too]:NAME:(default xavier he lecun orthogonal)' \
            '--sigma-w2=[variance of a weight times its fan-in, normal, instead of --init]:X:' \
            '--sigma-b2=[variance of a bias]:X:' \
            '--norm=[in front of each activation]:NAME:(none batch layer rms)' \
            '--residual=[branches around each layer but the first]:NAME:(none pre post)' \
            '--batch=[samples of a step]:N:' \
            '--optimiser=[what takes the steps]:NAME:(sgd momentum adam)' \
            '--lr=[learning rate (default 0.05 of sgd, 0.01 of momentum, 0.001 of adam)]:X:' \
            '--task=[what is learned\: 1,797 images of digits, or as many random ones]:NAME:(digits random)' \
            '--data=[where the digits are]:FILE:_files' \
            '--seed=[of weights and batches]:N:' ;;
    'flow theory')
        _arguments "*: :()" \
            '--list[the activations that theory knows, and their edge of chaos]' \
            '--activation=[behind each layer]:NAME:(linear sigmoid tanh relu leaky_relu prelu elu celu selu silu gelu gelu_tanh mish softplus softsign logsigmoid tanhshrink hardtanh relu6 hardsigmoid hardswish softshrink hardshrink)' \
            '--init=[how weights are drawn; without this and --sigma-w2\: a table of the usual ones]:NAME:(default xavier he lecun orthogonal)' \
            '--sigma-b2=[variance of a bias]:X:' \
            '--depth=[hidden layers]:N:' \
            '--width=[units of each]:N:' \
            '--sigma-w2=[variance of a weight times its fan-in, normal, instead of --init]:X:' \
            '--norm=[in front of each activation]:NAME:(none batch layer rms)' \
            '--residual=[branches around each layer but the first]:NAME:(none pre post)' ;;
    'flow map')
        _arguments "*: :()" \
            '--x=[across\: depth, width, activation, init, norm, residual, lr, sigma_w2 or sigma_b2; with a range, lr=0.001\:1, or a list, norm=none,batch]:AXIS:' \
            '--y=[upwards, likewise]:AXIS:' \
            '--grid=[columns and rows; axes of words have their own number]:NxN:' \
            '--steps=[steps of each training]:N:' \
            '--threads=[cells at a time; 0\: the machine'\''s processors. Results do not depend on it]:N:' \
            '--resume=[keeps finished cells there, and begins with those it has]:FILE:_files' \
            '--html=[the map as a page]:FILE:_files' \
            '--depth=[hidden layers, where no axis]:N:' \
            '--width=[units of each, where no axis]:N:' \
            '--activation=[behind each layer, where no axis]:NAME:(sigmoid tanh relu leaky_relu gelu silu selu elu celu mish softplus softsign relu6 hardtanh hardsigmoid hardswish logsigmoid tanhshrink linear)' \
            '--lr=[learning rate, where no axis]:X:' \
            '--batch=[samples of a step]:N:' \
            '--sigma-b2=[variance of a bias]:X:' \
            '--init=[how weights are drawn; default\: uniform, biases too]:NAME:(default xavier he lecun orthogonal)' \
            '--sigma-w2=[variance of a weight times its fan-in, normal, instead of --init]:X:' \
            '--norm=[in front of each activation]:NAME:(none batch layer rms)' \
            '--residual=[branches around each layer but the first]:NAME:(none pre post)' \
            '--optimiser=[what takes the steps]:NAME:(sgd momentum adam)' \
            '--task=[what is learned\: 1,797 images of digits, or as many random ones]:NAME:(digits random)' \
            '--data=[where the digits are]:FILE:_files' \
            '--seed=[of weights and batches]:N:' ;;
    'lesson')
        _arguments "*: :()" ;;
    'ops')
        _arguments "*: :($(chainrule ops | sed 's/ .*//'))" \
            '--page[all as a page in Markdown]' ;;
    'plan')
        _arguments "*: :($(chainrule plan | sed 's/ .*//'))" ;;
    'profile')
        _arguments "*: :($(chainrule profile | sed 's/ .*//'))" \
            '--steps=[how many are measured, behind two that are not]:N:' \
            '--threads=[that compute]:N:' \
            '--trace=[each group'\''s time, for chrome\://tracing or ui.perfetto.dev]:FILE:_files' ;;
    'graph')
        _arguments "*: :($(chainrule graph | sed 's/ .*//'))" ;;
    'check')
        _arguments "*: :()" ;;
    'completion')
        _arguments "*: :(bash zsh)" ;;
    'version')
        _arguments "*: :()" ;;
    'help')
        _arguments "*: :(flow flow theory flow map lesson ops plan profile graph check completion version help)" \
            '--man[the man page of all of them]' ;;
    esac
}
_chainrule "$@"
