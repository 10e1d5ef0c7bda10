# For `source`, by scripts/package: a .deb with a virtual environment inside, for one Debian and one architecture.
#
# The environment is laid out by hand, as `python3 -m venv` would: the Python of the target need not run here.
# What has no wheel is compiled, for another architecture with Debian's cross compiler against Debian's
# own headers of that architecture, unpacked beside.
# shellcheck disable=SC2154

declare -A TRIPLET=([amd64]=x86_64-linux-gnu [arm64]=aarch64-linux-gnu [armhf]=arm-linux-gnueabihf)
declare -A PLATFORMS=(
    [amd64]="manylinux_2_34_x86_64 manylinux_2_28_x86_64 manylinux_2_27_x86_64 manylinux2014_x86_64 manylinux_2_17_x86_64 manylinux1_x86_64 manylinux_2_5_x86_64"
    [arm64]="manylinux_2_34_aarch64 manylinux_2_28_aarch64 manylinux_2_27_aarch64 manylinux2014_aarch64 manylinux_2_17_aarch64"
    [armhf]="manylinux_2_34_armv7l manylinux_2_31_armv7l manylinux_2_28_armv7l manylinux2014_armv7l manylinux_2_17_armv7l linux_armv7l"
)
declare -A MACHINE=([amd64]=x86_64 [arm64]=aarch64 [armhf]=armv7l)

make_deb() {
    [[ -n ${TRIPLET[$arch]:-} ]] || wrong "a .deb can be made for amd64, arm64 and armhf, not for $arch"
    # Debian 13's 32-bit ARM counts seconds in 64 bits, which a compiler of Debian 12 is not told to.
    [[ $arch != armhf || $version == 3.11 ]] \
        || wrong "for armhf a .deb can be made for Debian 12 only (--python 3.11), not for Python $version"
    command -v dpkg-deb >/dev/null || fail "dpkg-deb is missing: this makes Debian packages on Debian"
    local release=12 suite=bookworm home=opt/voicekiosk tree site number name
    [[ $version == 3.13 ]] && release=13 suite=trixie
    tree=$work/tree site=$work/tree/$home/lib/python$version/site-packages
    number=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' daemon/voicekiosk/__init__.py)
    name=voicekiosk_$number-1+deb${release}_$arch.deb
    mkdir -p "$site" "$tree/$home/bin" "$tree/$home/share" "$tree/DEBIAN"

    say "gathering Python packages for Python $version on $arch"
    gather_packages "$site"
    lay_out "$tree" "$home" "$site"
    write_control "$tree" "$number-1+deb$release" "$release"
    find "$tree/$home" -name '__pycache__' -prune -exec rm -rf {} +
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s) \
        dpkg-deb --root-owner-group -Zxz --build "$tree" "$into/$name" >> "$log" 2>&1 || {
        tail -n 10 "$log" >&2
        fail "dpkg-deb failed (its words are above)"
    }
    say "$into/$name ($(du -h "$into/$name" | cut -f1))"
}

# Put everything that the lock names for the target into SITE: published wheels as they are, the rest built.
gather_packages() {
    local target=$1 platform wheels=$work/wheels options=()
    mkdir -p "$wheels"
    for platform in ${PLATFORMS[$arch]}; do options+=(--platform "$platform"); done
    # pip takes markers from the Python that it runs on: resolve them for the target instead.
    "$work/venv/bin/python" scripts/lib/target_lock.py "${MACHINE[$arch]}" "$version" "$work" >> "$log" 2>&1 \
        || fail "reading requirements.lock failed: $(tail -n 1 "$log")"
    pip download --no-deps --require-hashes --only-binary :all: --python-version "$version" \
        --implementation cp "${options[@]}" --dest "$wheels" -r "$work/wheels.lock"
    pip install --no-deps --require-hashes -r "$work/build.lock"
    pip download --no-deps --require-hashes --no-binary :all: --no-build-isolation --dest "$work/sources" -r "$work/sources.lock"
    build_sources "$wheels"
    cp -a pyproject.toml README.md LICENSE daemon "$work/"
    pip wheel --no-deps --no-build-isolation --wheel-dir "$wheels" "$work"
    local wheel
    for wheel in "$wheels"/*.whl; do
        "$work/venv/bin/python" -m zipfile -e "$wheel" "$target"
    done
    rm -rf "${target:?}"/bin "$target"/*.data
}

# Build what has no wheel: with this machine's compiler, or a cross compiler and the target's headers.
build_sources() {
    local wheels=$1 source mirror triplet=${TRIPLET[$arch]} root=$work/sysroot
    if [[ $(dpkg --print-architecture) == "$arch" ]]; then
        pip wheel --no-deps --no-build-isolation --use-pep517 --wheel-dir "$wheels" "$work"/sources/*.tar.gz
        return
    fi
    command -v "$triplet-gcc" >/dev/null \
        || fail "the cross compiler is missing: apt-get install gcc-$triplet libc6-dev-$arch-cross"
    command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing: apt-get install mmdebstrap"
    say "fetching the headers of Debian $release for $arch"
    # From where this machine has its own packages, if it is the same Debian.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Codename: $suite" | sort -u | head -n 1)
    mmdebstrap --quiet --variant=extract --mode=root --architectures="$arch" \
        --include="libasound2-dev,libpython$version-dev" "$suite" "$root" ${mirror:+"$mirror"} >> "$log" 2>&1 \
        || { tail -n 5 "$log" >&2; fail "mmdebstrap could not fetch the target's headers (its words are above)"; }
    # Only C, one extension each: setuptools does the rest when it is told which compiler and which suffix.
    for source in "$work"/sources/*.tar.gz; do
        env CC="$triplet-gcc --sysroot=$root" LDSHARED="$triplet-gcc --sysroot=$root -shared" \
            CFLAGS="-O2 -I$root/usr/include/python$version -I$root/usr/include/$triplet/python$version" \
            LDFLAGS="-L$root/usr/lib/$triplet" _PYTHON_HOST_PLATFORM="linux-${MACHINE[$arch]}" \
            SETUPTOOLS_EXT_SUFFIX=".cpython-${version/./}-$triplet.so" \
            "$work/venv/bin/python" -m pip wheel --disable-pip-version-check --no-input --no-deps --no-build-isolation \
            --use-pep517 --wheel-dir "$wheels" "$source" >> "$log" 2>&1 || {
            tail -n 25 "$log" >&2
            fail "cross building ${source##*/} failed (its words are above)"
        }
    done
}

lay_out() {
    local tree=$1 home=$2 site=$3
    ln -s "/usr/bin/python$version" "$tree/$home/bin/python"
    ln -s python "$tree/$home/bin/python3"
    {
        echo "home = /usr/bin"
        # On ARM apt has what has no wheel.
        if [[ $arch == amd64 ]]; then echo "include-system-site-packages = false"; else echo "include-system-site-packages = true"; fi
        echo "version = $version"
    } > "$tree/$home/pyvenv.cfg"
    cat > "$tree/$home/bin/voicekiosk" <<END
#!/opt/voicekiosk/bin/python
import sys

from voicekiosk.cli import main

sys.exit(main())
END
    chmod 0755 "$tree/$home/bin/voicekiosk"
    cp config/config.toml "$tree/$home/share/"
    install -D -m 0644 systemd/voicekiosk.service "$tree/usr/lib/systemd/system/voicekiosk.service"
    install -D -m 0644 systemd/voicekiosk-tool.socket "$tree/usr/lib/systemd/system/voicekiosk-tool.socket"
    install -D -m 0644 systemd/voicekiosk-tool@.service "$tree/usr/lib/systemd/system/voicekiosk-tool@.service"
    install -D -m 0644 systemd/voicekiosk-unit.socket "$tree/usr/lib/systemd/system/voicekiosk-unit.socket"
    install -D -m 0644 systemd/voicekiosk-unit@.service "$tree/usr/lib/systemd/system/voicekiosk-unit@.service"
    install -D -m 0644 systemd/voicekiosk.sysusers "$tree/usr/lib/sysusers.d/voicekiosk.conf"
    install -D -m 0644 systemd/voicekiosk.tmpfiles "$tree/usr/lib/tmpfiles.d/voicekiosk.conf"
    install -D -m 0644 systemd/60-voicekiosk-gpio.rules "$tree/usr/lib/udev/rules.d/60-voicekiosk-gpio.rules"
    install -D -m 0644 LICENSE "$tree/usr/share/doc/voicekiosk/copyright"
    mkdir -p "$tree/usr/bin" "$tree/etc/voicekiosk"
    ln -s /opt/voicekiosk/bin/voicekiosk "$tree/usr/bin/voicekiosk"
    # A conffile: dpkg asks before it touches one that was edited.
    cp config/config.toml "$tree/etc/voicekiosk/config.toml"
    echo /etc/voicekiosk/config.toml > "$tree/DEBIAN/conffiles"
    chmod -R u=rwX,go=rX "$tree"
    [[ -d $site/voicekiosk && -n $(find "$site" -name 'alsaaudio*.so') ]] || fail "the package would be incomplete"
}

write_control() {
    local tree=$1 full=$2 release=$3 alsa=libasound2 next extra=""
    [[ $release == 13 ]] && alsa=libasound2t64
    next=3.$((${version#3.} + 1))
    [[ $arch == amd64 ]] || extra=", python3-systemd"
    [[ $arch != armhf ]] || extra+=", python3-numpy"
    cat > "$tree/DEBIAN/control" <<END
Package: voicekiosk
Version: $full
Architecture: $arch
Section: sound
Priority: optional
Maintainer: the voicekiosk project <voicekiosk@localhost>
Depends: python3 (>= $version), python3 (<< $next), $alsa, libsystemd0, ca-certificates, systemd (>= 252)$extra
Recommends: alsa-utils
Installed-Size: $(du -sk "$tree" | cut -f1)
Description: turns a Raspberry Pi into a talking kiosk
 A microphone, a loudspeaker, one button and one lamp: press, talk, let go, hear an
 answer. All Python packages are inside; nothing is fetched when it is installed.
END
    local script
    for script in preinst postinst prerm postrm; do
        install -m 0755 "scripts/lib/deb/$script" "$tree/DEBIAN/$script"
    done
}
