# For `source`: which Pythons are on this machine. Sets nothing, starts nothing that lasts.

# Print "3.12" for a Python that runs, nothing otherwise (a pyenv shim may exist and not run).
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# Whether a command is a Python of at least 3.11.
new_enough() { [[ $(version_of "$1") =~ ^3\.(1[1-9]|[2-9][0-9])$ ]]; }

# Print how to call Python VERSION ("3.12"): on the PATH, else where pyenv and uv put theirs.
find_python() {
    local candidate
    for candidate in "python$1" "/usr/bin/python$1" \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/"python$1" \
        "${XDG_DATA_HOME:-$HOME/.local/share}"/uv/python/cpython-"$1".*/bin/"python$1"; do
        if [[ $(version_of "$candidate") == "$1" ]]; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}
