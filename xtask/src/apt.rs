//! Debian packages: what is offered, and installing without starting anything.

use anyhow::{Context as _, Result, bail};
use std::process::{Command, Stdio};

use crate::cmd;
use crate::cmd::{say, to_stderr};

/// Installs while nothing may start (etcd-server starts an etcd on the machine's own port 2379, containerd a containerd) and puts the
/// administrator's policy back, also after Ctrl-C; what a killed set-up left behind is put back first.
const INSTALL: &str = r#"
set -eu
policy=/usr/sbin/policy-rc.d
saved=$policy.before-kcn-trace
put_back() {
    rm -f "$policy"
    if [ -e "$saved" ]; then mv "$saved" "$policy"; fi
}
if [ -e "$policy" ] && grep -q 'set by kcn-trace' "$policy"; then put_back; fi
if [ -e "$policy" ]; then mv "$policy" "$saved"; fi
trap put_back EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
printf '#!/bin/sh\n# set by kcn-trace while it installs packages\nexit 101\n' > "$policy"
chmod 755 "$policy"
apt-get --quiet -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install --yes --no-install-recommends "$@"
# Nor may they start at the next boot: the tests start their own.
for installed in "$@"; do
    case "$installed" in
        etcd-server) service=etcd ;;
        containerd) service=containerd ;;
        *) continue ;;
    esac
    update-rc.d "$service" disable || systemctl disable "$service.service" ||
        echo "$service could not be kept from starting at boot" >&2
done
"#;

/// The machine's packages. Lists are refreshed once, and only when something is missing.
pub(crate) struct Apt {
    present: bool,
    updated: bool,
}

impl Apt {
    pub(crate) fn new() -> Self {
        Self {
            present: cmd::find("apt-get").is_some(),
            updated: false,
        }
    }

    /// Whether every one of the packages is offered here.
    pub(crate) fn has_all(&mut self, packages: &[&str]) -> Result<bool> {
        if !self.present {
            return Ok(false);
        }
        self.update()?;
        let policy = cmd::output(
            Command::new("apt-cache")
                .arg("policy")
                .args(packages)
                .env("LC_ALL", "C"),
        )?;
        Ok(candidates(&policy) == packages.len())
    }

    /// Installs what is not installed yet.
    pub(crate) fn install(&mut self, packages: &[&str]) -> Result<()> {
        if !self.present {
            bail!(
                "apt-get is not here; install by hand, by your system's names: {}",
                packages.join(" ")
            );
        }
        self.update()?;
        let mut install = root_shell(INSTALL);
        install.args(packages);
        cmd::run(to_stderr(&mut install)).with_context(|| {
            format!(
                "cannot install {}; root is needed, directly or through sudo",
                packages.join(" ")
            )
        })
    }

    /// A failure is told and survived: one broken third-party source must not hide what the others offer.
    fn update(&mut self) -> Result<()> {
        if self.updated {
            return Ok(());
        }
        self.updated = true;
        say("package lists", "refreshing, since something must be installed");
        let mut update = root_shell("exec apt-get --quiet update");
        let status = to_stderr(&mut update)
            .status()
            .context("cannot run apt-get update as root; sudo is needed when not root")?;
        if !status.success() {
            say(
                "package lists",
                &format!("apt-get update ended with {status}; going on with the lists there are"),
            );
        }
        Ok(())
    }
}

fn root_shell(script: &str) -> Command {
    let mut shell = cmd::as_root("env");
    shell.args([
        "DEBIAN_FRONTEND=noninteractive",
        "sh",
        "-c",
        script,
        "kcn-trace-setup",
    ]);
    shell.stdin(Stdio::null());
    shell
}

/// Number of packages that `apt-cache policy` can offer.
fn candidates(policy: &str) -> usize {
    let offers = policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate: "));
    offers.filter(|version| *version != "(none)").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packages_with_a_candidate_are_offered() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0\n  Version table:\nbpftool:\n  Installed: (none)\n  Candidate: (none)\n";
        assert_eq!(candidates(policy), 1);
        assert_eq!(candidates(""), 0);
    }
}
