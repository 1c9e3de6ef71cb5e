/**
 * The scripts that connect a shell to `tidings completion words`. They hold no list of options, so that they are right for
 * every version of the program.
 */

/** The shells with a script. */
export const shells = ["bash", "zsh", "fish"] as const;

/** A shell with a script. */
export type Shell = (typeof shells)[number];

/** The word that stands for the paths of files in what `tidings completion words` prints. */
export const filesWord = ":files";

/** The script of each shell. */
export const scripts: Readonly<Record<Shell, string>> = {
  // Works in bash 3.2, which macOS has.
  bash: `_tidings() {
  local words=() part="\${COMP_WORDS[COMP_CWORD]}" word rest i
  # Bash splits words at = and :, which are parts of words here.
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    if ((\${#words[@]} > 0)) && [[ $word == [=:] || \${COMP_WORDS[i - 1]} == [=:] ]]; then
      words[\${#words[@]} - 1]+="$word"
    else
      words+=("$word")
    fi
  done
  [[ $part == [=:] ]] && part=""
  local prefix="\${words[\${#words[@]} - 1]%"$part"}"
  COMPREPLY=()
  while IFS=$'\\t' read -r word rest; do
    if [[ $word == ${filesWord} ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$part")
    else
      COMPREPLY+=("\${word#"$prefix"}")
    fi
  done < <("$1" completion words -- "\${words[@]}" 2>/dev/null)
}
complete -F _tidings tidings`,
  zsh: `#compdef tidings
_tidings() {
  local -a found
  local line word
  for line in "\${(@f)$("\${words[1]}" completion words -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
    word="\${line%%$'\\t'*}"
    if [[ $word == ${filesWord} ]]; then
      compset -P '--*='
      _files
    elif [[ -n $word ]]; then
      found+=("\${word//:/\\\\:}:\${line#*$'\\t'}")
    fi
  done
  (( $#found )) && _describe tidings found
}
if [[ \${funcstack[1]} == _tidings ]]; then
  _tidings "$@"
else
  compdef _tidings tidings
fi`,
  fish: `function __tidings_words
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    $words[1] completion words -- $words[2..-1] "$current" 2>/dev/null | while read -l line
        if string match -q -- '${filesWord}*' $line
            __fish_complete_path "$current"
        else
            echo $line
        end
    end
end
complete -c tidings -f -a '(__tidings_words)'`,
};
