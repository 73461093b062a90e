//! Programs that are used, not linked.

use anyhow::Result;

use super::Purpose::{self, Bench, Demo, Test};
use crate::apt::Apt;
use crate::cmd;
use crate::cmd::say;

struct Tool {
    command: &'static str,
    package: &'static str,
    why: &'static str,
    purposes: &'static [Purpose],
}

const fn tool(
    command: &'static str,
    package: &'static str,
    why: &'static str,
    purposes: &'static [Purpose],
) -> Tool {
    Tool {
        command,
        package,
        why,
        purposes,
    }
}

const TOOLS: &[Tool] = &[
    tool("etcd", "etcd-server", "a real etcd to observe", &[Demo, Test]),
    tool("etcdctl", "etcd-client", "a real client of etcd", &[Demo, Test]),
    tool("ip", "iproute2", "network namespaces", &[Demo, Test, Bench]),
    tool(
        "unshare",
        "util-linux",
        "network namespaces",
        &[Demo, Test, Bench],
    ),
    tool("dot", "graphviz", "proves that graphs can be drawn", &[Test]),
    tool(
        "bpftool",
        "bpftool",
        "an independent witness of attached programs",
        &[Test],
    ),
    tool(
        "qemu-system-x86_64",
        "qemu-system-x86",
        "boots other kernels",
        &[Test],
    ),
    tool(
        "busybox",
        "busybox-static",
        "user space of the virtual machines and of pods",
        &[Test],
    ),
    tool("containerd", "containerd", "runs real pods", &[Test]),
    tool("runc", "runc", "runs the containers of pods", &[Test]),
    tool(
        "/usr/lib/cni/bridge",
        "containernetworking-plugins",
        "gives pods addresses",
        &[Test],
    ),
    tool(
        "iptables-restore",
        "iptables",
        "translates addresses of services, as kube-proxy does",
        &[Test],
    ),
    tool(
        "tcplife",
        "libbpf-tools",
        "what the benchmark compares with",
        &[Bench],
    ),
];

/// Installs what is missing and offered; the rest is told, and its tests are skipped.
pub(super) fn tools(apt: &mut Apt, purpose: Purpose) -> Result<()> {
    let mut install = Vec::new();
    for tool in TOOLS.iter().filter(|tool| tool.purposes.contains(&purpose)) {
        if cmd::find(tool.command).is_some() {
            say(tool.command, "present");
        } else if apt.has_all(&[tool.package])? {
            say(
                tool.command,
                &format!("installing {}: {}", tool.package, tool.why),
            );
            install.push(tool.package);
        } else {
            say(
                tool.command,
                &format!(
                    "missing, and no package source here has {}; {}. What needs it will be skipped",
                    tool.package, tool.why
                ),
            );
        }
    }
    if install.is_empty() {
        Ok(())
    } else {
        apt.install(&install)
    }
}
