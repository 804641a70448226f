"""``ganlab completion SHELL``: the script that makes a shell complete ganlab's command lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from ganlab.commands.command import Command, Word

# Bash splits words at = and : and completes only what follows the last of them. macOS still has
# bash 3.2, which knows neither negative indices nor compopt: so no spaces are added by bash at all.
_BASH = r"""_ganlab() {
    local line="${COMP_LINE:0:COMP_POINT}" current candidate head=""
    local -a typed
    read -r -a typed <<< "${line//[\'\"\\]/}"
    case "$line" in *[[:space:]]) typed+=("") ;; esac
    current="${typed[${#typed[@]}-1]}"
    case "$COMP_WORDBREAKS" in *=*) case "$current" in *=*) head="${current%=*}=" ;; esac ;; esac
    COMPREPLY=()
    while IFS= read -r candidate; do
        [ -n "$candidate" ] || continue
        candidate="${candidate#"$head"}"
        case "$candidate" in
            *=|*/|*\[) COMPREPLY+=("$candidate") ;;
            *) case "$current" in *=\[*) COMPREPLY+=("$candidate") ;; *) COMPREPLY+=("$candidate ") ;; esac ;;
        esac
    done < <(command "${typed[0]}" complete -- "${typed[@]:1}" 2>/dev/null)
}
complete -o nospace -F _ganlab ganlab
"""

_ZSH = r"""#compdef ganlab
_ganlab() {
    local -a found open closed
    found=("${(@f)$(command "${(Q)words[1]}" complete -- "${(@)words[2,CURRENT]//[\'\"\\]/}" 2>/dev/null)}")
    open=(${(M)found:#*(=|/|\[)})
    closed=(${found:#*(=|/|\[)})
    [[ "${words[CURRENT]}" == *=*\[* ]] && { open+=($closed); closed=() }
    (( $#open )) && compadd -U -S '' -- $open
    (( $#closed )) && compadd -U -- $closed
}
compdef _ganlab ganlab
"""

_FISH = r"""function __ganlab_complete
    set -l typed (commandline -opc) (commandline -ct)
    command $typed[1] complete -- $typed[2..-1] 2>/dev/null
end
complete -c ganlab -f -a '(__ganlab_complete)'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@dataclass
class Completion(Command):
    """Print a script that completes commands, components, options and run folders. To have it in
    every new shell:

      echo 'eval "$(ganlab completion bash)"' >> ~/.bashrc
      echo 'eval "$(ganlab completion zsh)"' >> ~/.zshrc          (after compinit)
      ganlab completion fish > ~/.config/fish/completions/ganlab.fish
    """

    shell: Annotated[Literal["bash", "zsh", "fish"], Word("bash|zsh|fish", "shell")]

    def __call__(self) -> int:
        print(SCRIPTS[self.shell], end="")
        return 0
