# Sourced by the install scripts: installs Debian packages only when a command
# is missing, and keeps the services of new packages from starting.
# shellcheck shell=bash

say() { printf '%s: %s\n' "$(basename "$0")" "$*"; }
die() { say "$*" >&2; exit 1; }

# Servers live in sbin on some systems, which the PATH of a user often lacks.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

need_apt() {
  have apt-get || die "this system has no apt-get; install by hand: $*"
  [ "$(id -u)" -eq 0 ] || have sudo || die "must run as root (no sudo here) to install: $*"
}

policy=/usr/sbin/policy-rc.d
policy_saved=/usr/sbin/policy-rc.d.before-larder
policy_ours='# Written by Larder while it installs packages; removed afterwards.'

# Debian starts a service as soon as its package is unpacked. invoke-rc.d asks
# policy-rc.d first; 101 means no.
forbid_services() {
  trap restore_services EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  if [ -e "$policy" ] && ! grep -qF "$policy_ours" "$policy"; then
    as_root mv "$policy" "$policy_saved"
  fi
  printf '#!/bin/sh\n%s\nexit 101\n' "$policy_ours" | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
}

restore_services() {
  if [ -e "$policy" ] && grep -qF "$policy_ours" "$policy"; then as_root rm -f "$policy"; fi
  if [ -e "$policy_saved" ]; then as_root mv "$policy_saved" "$policy"; fi
}

# An installation that was killed can have left our file behind.
if [ -e "$policy" ] && grep -qF "$policy_ours" "$policy" && { [ "$(id -u)" -eq 0 ] || have sudo; }; then
  restore_services
fi

apt_update() {
  say "reading the package lists"
  # A source that cannot be reached need not be the one that is needed.
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o APT::Update::Error-Mode=any update ||
    say "some package lists could not be read" >&2
}

apt_install() {
  say "installing $*"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@" >/dev/null
}

# package_known NAME: the lists offer NAME for installation.
package_known() {
  case "$(apt-cache policy "$1" 2>/dev/null)" in
    *'Candidate: (none)'*) return 1 ;;
    *'Candidate: '*) return 0 ;;
    *) return 1 ;;
  esac
}

# need PACKAGE TEST...: PACKAGE is to be installed if the test fails.
needed=()
need() {
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || needed+=("$package")
}

# install_needed installs what need found.
install_needed() {
  [ ${#needed[@]} -gt 0 ] || return 0
  need_apt "${needed[@]}"
  forbid_services
  apt_update
  apt_install "${needed[@]}"
}
