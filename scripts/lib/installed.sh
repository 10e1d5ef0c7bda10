# For `source`: where an installation lies, and how its files come and go. Used by scripts/install, and by
# the uninstall that lies in every installed version.
#
#   /opt/voicekiosk/versions/VERSION-HASH/   a virtual environment of its own, and share/ with all it needs
#   /opt/voicekiosk/current                  → the version in use; switched in one step
#   /opt/voicekiosk/previous                 → the one before it, to go back to
#   /opt/voicekiosk/pending                  while another version is being switched to: the one before it
#   /opt/voicekiosk/bin                      → current/bin, for the unit

home=/opt/voicekiosk
# While a version is in use that was not seen to get ready: the name of the one before, or "none".
pending=$home/pending
command_link=/usr/local/bin/voicekiosk
unit_file=/etc/systemd/system/voicekiosk.service
tool_units=(voicekiosk-tool.socket voicekiosk-tool@.service voicekiosk-unit.socket voicekiosk-unit@.service)
sysusers_file=/usr/lib/sysusers.d/voicekiosk.conf
tmpfiles_file=/usr/lib/tmpfiles.d/voicekiosk.conf
gpio_rule=/usr/lib/udev/rules.d/60-voicekiosk-gpio.rules
sound_rule=/etc/udev/rules.d/61-voicekiosk-sound.rules
config_dir=/etc/voicekiosk
config_file=$config_dir/config.toml
key_file=$config_dir/api-key
state_dir=/var/lib/voicekiosk
# What this machine lacked and got, one "group NAME" or "package NAME" a line; uninstall reads it.
ledger=$config_dir/.added

# Copy FROM to TO unless TO says the same already. Sets `changed`.
place() {
    local from=$1 to=$2 mode=$3
    cmp -s "$from" "$to" && return 0
    install -D -m "$mode" "$from" "$to.new"
    mv -f "$to.new" "$to"
    changed=1
}

# Point LINK at TARGET in one step: at no moment is there no link.
point() {
    local link=$1 target=$2
    [[ $(readlink "$link" 2>/dev/null) == "$target" ]] && return 0
    ln -sfn "$target" "$link.new"
    mv -fT "$link.new" "$link"
    changed=1
}

# Make VERSION (a folder of `versions`) the one in use: its unit, rules and accounts, then the switch.
activate() {
    local version=$1 share=$home/versions/$1/share unit
    changed=0
    place "$share/systemd/voicekiosk.sysusers" "$sysusers_file" 0644
    if ((changed)) || ! id voicekiosk >/dev/null 2>&1; then
        getent group gpio >/dev/null || note_added "group gpio"
        systemd-sysusers "$sysusers_file"
    fi
    changed=0
    place "$share/systemd/voicekiosk.tmpfiles" "$tmpfiles_file" 0644
    if ((changed)) || [[ ! -d $config_dir ]]; then systemd-tmpfiles --create "$tmpfiles_file"; fi
    changed=0
    place "$share/systemd/60-voicekiosk-gpio.rules" "$gpio_rule" 0644
    ((!changed)) || reload_udev gpio
    changed=0
    place "$share/systemd/voicekiosk.service" "$unit_file" 0644
    for unit in "${tool_units[@]}"; do
        if [[ -e $share/systemd/$unit ]]; then
            place "$share/systemd/$unit" "${unit_file%/*}/$unit" 0644
        elif [[ -e ${unit_file%/*}/$unit ]]; then
            # Back to a version from before there was this one: nothing of it would answer at that socket.
            systemctl stop --quiet "${unit/@/@*}" 2>/dev/null || true
            rm -f "${unit_file%/*}/$unit"
            changed=1
        fi
    done
    point "$home/current" "versions/$version"
    point "$home/bin" current/bin
    point "$command_link" "$home/bin/voicekiosk"
    ((!changed)) || systemctl daemon-reload
}

reload_udev() {
    # A container has no udev, and no devices of its own to apply a rule to.
    [[ -S /run/udev/control ]] || return 0
    udevadm control --reload
    udevadm trigger --subsystem-match="$1" --settle
}

note_added() {
    mkdir -p "$config_dir"
    grep -qsxF "$1" "$ledger" || echo "$1" >> "$ledger"
}
