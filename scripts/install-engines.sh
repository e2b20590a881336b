#!/usr/bin/env bash
# Installs the servers that Larder runs: redis-server, valkey-server, memcached.
# Installs only what is missing, starts no service, and may be run again at any
# time; with everything in place it needs neither network nor root.
set -euo pipefail
# shellcheck source=scripts/apt.sh
. "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

engines=(redis-server valkey-server memcached)

missing=()
for engine in "${engines[@]}"; do have "$engine" || missing+=("$engine"); done

# Debian 12 has Valkey only in backports, whose packages are never chosen
# unless asked for (priority 100), so adding the source upgrades nothing else.
add_backports() {
  local codename uri
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  [ "$codename" = bookworm ] || return 0
  # shellcheck disable=SC2016 # the $() are apt's
  uri=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
    awk '$2 == "bookworm" && !found++ { print $1 }')
  if [ -z "$uri" ]; then
    say "no source of Debian's own packages is configured to take bookworm-backports from" >&2
    return 0
  fi
  say "adding the bookworm-backports source"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bookworm-backports main\n' \
    "$uri" |
    as_root tee /etc/apt/sources.list.d/larder-backports.list >/dev/null
  apt_update
}

install_missing() {
  need_apt "${missing[@]}"
  forbid_services
  apt_update
  for engine in "${missing[@]}"; do
    if [ "$engine" = valkey-server ] && ! package_known "$engine"; then add_backports; fi
    if ! package_known "$engine"; then
      say "no package source offers $engine: Larder will do without it" >&2
      continue
    fi
    apt_install "$engine"
    # The service would come with the next boot and take the engine's own port.
    if have systemctl; then as_root systemctl --quiet disable "$engine" >/dev/null 2>&1 || true; fi
  done
}

if [ ${#missing[@]} -gt 0 ]; then
  install_missing
fi

found=0
for engine in "${engines[@]}"; do
  if have "$engine"; then
    say "$engine: $(command -v "$engine") ($("$engine" --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1))"
    found=1
  fi
done
[ "$found" -eq 1 ] || die "no engine is installed"
