# For `source`, by scripts/install: what must be so before anything is touched. Every finding is printed, so
# that one run names them all; `problem` stops the installation, `note` does not.

problems=0
okay() { printf '  ok       %s\n' "$*"; }
note() { printf '  note     %s\n' "$*"; }
problem() { printf '  PROBLEM  %s\n' "$*"; problems=1; }

check_architecture() {
    case $machine in
        x86_64 | aarch64) okay "architecture: $machine" ;;
        armv7l | armv6l)
            # msgspec has no wheel there.
            if [[ -n $offline ]]; then note "architecture: $machine, 32 bits: not tried; numpy comes from apt"
            else problem "architecture: $machine: a 64-bit system is needed here; for 32 bits take a .deb, made on" \
                "another machine with: scripts/package deb DIR --arch armhf"; fi ;;
        *) problem "architecture: $machine; x86_64 and aarch64 are known to work" ;;
    esac
}

check_system() {
    local ID="" VERSION_ID="" PRETTY_NAME="unknown"
    # shellcheck disable=SC1091
    [[ ! -r /etc/os-release ]] || . /etc/os-release
    case $ID-$VERSION_ID in
        debian-12 | debian-13 | raspbian-12 | raspbian-13) okay "system: $PRETTY_NAME" ;;
        *)
            if ((any_system)); then note "system: $PRETTY_NAME, untested"
            else problem "system: $PRETTY_NAME; tested are Debian and Raspberry Pi OS 12 and 13 (--any-system tries)"; fi ;;
    esac
    [[ -r /proc/device-tree/model ]] && okay "board: $(tr -d '\0' < /proc/device-tree/model)"
    if [[ ! -d /run/systemd/system ]]; then
        problem "systemd does not run this machine, and voicekiosk is a service of systemd"
    else
        local version
        version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
        if ((version >= 252)); then okay "systemd: $version"
        else problem "systemd: $version; 252 or newer is needed"; fi
    fi
    if dpkg-query -W -f '${db:Status-Status}' voicekiosk 2>/dev/null | grep -qx installed; then
        problem "voicekiosk is installed as a .deb: stay with those, or 'apt-get remove voicekiosk' first"
    fi
}

check_python() {
    if [[ ! -x $python ]]; then problem "python: $python is missing; apt-get install python3"
    elif new_enough "$python"; then okay "python: $(version_of "$python") ($python)"
    else problem "python: $python is $(version_of "$python"); 3.11 or newer is needed"; fi
}

check_sound() {
    local cards
    cards=$(sed -n 's/^ *[0-9]* \[\([^ ]*\) *\].*/\1/p' /proc/asound/cards 2>/dev/null | xargs || true)
    if [[ -n $cards ]]; then okay "sound cards: $cards"
    else note "sound cards: none. The kiosk starts without, says so, and takes one when it is plugged in"; fi
}

check_gpio() {
    local chips=(/dev/gpiochip*)
    if [[ -e ${chips[0]} ]]; then okay "GPIO: ${chips[*]}"
    else note "GPIO: no chip here; set driver = \"none\" in [panel], and 'voicekiosk press' is the button"; fi
}

check_groups() {
    local group missing=()
    for group in audio gpio; do getent group "$group" >/dev/null || missing+=("$group"); done
    if ((${#missing[@]})); then okay "groups: ${missing[*]} will be made"
    else okay "groups: audio, gpio"; fi
}

check_space() {
    local free_mb
    free_mb=$(df --output=avail -m "$(dirname "$home")" | tail -n 1 | xargs)
    if ((free_mb >= need_mb)); then okay "space: $free_mb MB free for $home"
    else problem "space: $free_mb MB free for $home, and $need_mb MB are needed"; fi
}

check_clock() {
    # Nothing was written here in the future: a clock that is behind the lock file stands still or was reset.
    if (($(date +%s) < $(stat -c %Y requirements.lock))); then
        problem "clock: $(date '+%F %R') cannot be, it is later than that; without the right time no TLS" \
            "certificate is valid: connect the network, or 'date --set'"
    elif [[ $(timedatectl show --property=NTPSynchronized --value 2>/dev/null) == yes ]]; then
        okay "clock: $(date '+%F %R'), synchronised"
    else
        note "clock: $(date '+%F %R'), not synchronised (yet)"
    fi
}

check_all() {
    echo "install: checking"
    check_architecture; check_system; check_python; check_sound; check_gpio; check_groups; check_space; check_clock
    ((!problems)) || fail "nothing was changed (see PROBLEM above)"
}
