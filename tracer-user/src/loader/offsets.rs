//! Fills the programs' settings with this kernel's offsets: one row per field.
//!
//! To add an offset: a field in `tracer_common::settings` and a row here.
#![forbid(unsafe_code)]

use tracer_common::settings::Settings;

use super::btf::{Btf, BtfError, Member};

/// Why the programs cannot know where to read. Fatal for every backend that reads kernel structs.
#[derive(Debug, thiserror::Error)]
pub enum OffsetError {
    /// A member that the programs cannot do without.
    #[error(
        "cannot find a field that the programs read: {source}; kcn-trace does not know this kernel's layout"
    )]
    Missing {
        /// What the type information said.
        source: BtfError,
    },
    /// The member exists with another width: reading it would give garbage.
    #[error(
        "{member} has {found} bytes on this kernel where the programs read {wanted}; a newer kcn-trace may know it"
    )]
    Width {
        /// Struct and member path.
        member: String,
        /// Its width in bytes.
        found: u32,
        /// Widths the programs can read.
        wanted: &'static str,
    },
}

/// The offsets, and what this kernel does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// Offsets filled in; the switches, `wake_bytes` and those of the classic tracepoint are still unset.
    pub settings: Settings,
    /// Members left ABSENT, as struct and path.
    pub absent: Vec<String>,
    /// Parameters of `inet_csk_accept`: 4 up to 6.9, 2 since 6.10. fexit finds the returned value behind them.
    pub accept_parameters: Option<usize>,
}

/// What to do about a member this kernel does not have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    Optional,
}
use Need::{Optional, Required};

/// Width the programs read, checked against the kernel's.
#[derive(Clone, Copy)]
enum Width {
    Bytes(u32),
    /// `unsigned long`, or a pointer.
    Word,
    /// At least so many bytes.
    AtLeast(u32),
}
use Width::{AtLeast, Bytes, Word};

struct Row {
    slot: fn(&mut Settings) -> &mut u32,
    holder: &'static str,
    /// Dotted path, newest kernel's name first.
    paths: &'static [&'static str],
    width: Width,
    need: Need,
}

const fn row(
    slot: fn(&mut Settings) -> &mut u32,
    holder: &'static str,
    paths: &'static [&'static str],
    width: Width,
    need: Need,
) -> Row {
    Row {
        slot,
        holder,
        paths,
        width,
        need,
    }
}

/// Every offset but `sk_protocol`, whose width differs between kernels.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    row(|s| &mut s.sk_family, "sock", &["__sk_common.skc_family"], Bytes(2), Required),
    row(|s| &mut s.sk_rcv_saddr, "sock", &["__sk_common.skc_rcv_saddr"], Bytes(4), Required),
    row(|s| &mut s.sk_daddr, "sock", &["__sk_common.skc_daddr"], Bytes(4), Required),
    // Only with CONFIG_IPV6.
    row(|s| &mut s.sk_v6_rcv_saddr, "sock", &["__sk_common.skc_v6_rcv_saddr"], Bytes(16), Optional),
    row(|s| &mut s.sk_v6_daddr, "sock", &["__sk_common.skc_v6_daddr"], Bytes(16), Optional),
    row(|s| &mut s.sk_dport, "sock", &["__sk_common.skc_dport"], Bytes(2), Required),
    row(|s| &mut s.sk_num, "sock", &["__sk_common.skc_num"], Bytes(2), Required),
    row(|s| &mut s.sk_state, "sock", &["__sk_common.skc_state"], Bytes(1), Required),
    row(|s| &mut s.sk_net, "sock", &["__sk_common.skc_net.net"], Word, Required),
    row(|s| &mut s.sk_err, "sock", &["sk_err"], Bytes(4), Required),
    row(|s| &mut s.sk_err_soft, "sock", &["sk_err_soft"], Bytes(4), Optional),
    row(|s| &mut s.sk_flags, "sock", &["__sk_common.skc_flags"], Word, Required),
    row(|s| &mut s.sk_bound_dev_if, "sock", &["__sk_common.skc_bound_dev_if"], Bytes(4), Required),
    row(|s| &mut s.net_inum, "net", &["ns.inum"], Bytes(4), Required),
    row(|s| &mut s.socket_sk, "socket", &["sk"], Word, Required),
    row(|s| &mut s.inet_sport, "inet_sock", &["inet_sport"], Bytes(2), Required),
    row(|s| &mut s.icsk_ulp_data, "inet_connection_sock", &["icsk_ulp_data"], Word, Required),
    row(|s| &mut s.tcp_bytes_sent, "tcp_sock", &["bytes_sent"], Bytes(8), Required),
    row(|s| &mut s.tcp_bytes_retrans, "tcp_sock", &["bytes_retrans"], Bytes(8), Required),
    row(|s| &mut s.tcp_bytes_received, "tcp_sock", &["bytes_received"], Bytes(8), Required),
    row(|s| &mut s.tcp_srtt_us, "tcp_sock", &["srtt_us"], Bytes(4), Required),
    row(|s| &mut s.tcp_total_retrans, "tcp_sock", &["total_retrans"], Bytes(4), Required),
    row(|s| &mut s.tcp_bytes_acked, "tcp_sock", &["bytes_acked"], Bytes(8), Required),
    row(|s| &mut s.tcp_segs_out, "tcp_sock", &["segs_out"], Bytes(4), Required),
    row(|s| &mut s.skb_head, "sk_buff", &["head"], Word, Required),
    row(|s| &mut s.skb_network_header, "sk_buff", &["network_header"], Bytes(2), Required),
    row(|s| &mut s.tcp_snd_nxt, "tcp_sock", &["snd_nxt"], Bytes(4), Required),
    row(|s| &mut s.tcp_snd_una, "tcp_sock", &["snd_una"], Bytes(4), Required),
    // Only with CONFIG_MPTCP.
    row(|s| &mut s.tcp_is_mptcp, "tcp_sock", &["is_mptcp"], Bytes(1), Optional),
    row(|s| &mut s.mptcp_conn_list, "mptcp_sock", &["conn_list"], AtLeast(16), Optional),
    row(|s| &mut s.mptcp_first, "mptcp_sock", &["first"], Word, Optional),
    row(|s| &mut s.mptcp_subflow_node, "mptcp_subflow_context", &["node"], AtLeast(16), Optional),
    row(|s| &mut s.mptcp_subflow_conn, "mptcp_subflow_context", &["conn"], Word, Optional),
    row(|s| &mut s.mptcp_subflow_tcp_sock, "mptcp_subflow_context", &["tcp_sock"], Word, Optional),
    row(|s| &mut s.task_tgid, "task_struct", &["tgid"], Bytes(4), Required),
    row(|s| &mut s.task_pid, "task_struct", &["pid"], Bytes(4), Required),
    row(|s| &mut s.task_comm, "task_struct", &["comm"], AtLeast(16), Required),
    // `real_start_time` up to 5.4, in the same clock and unit.
    row(|s| &mut s.task_start_boottime, "task_struct", &["start_boottime", "real_start_time"], Bytes(8), Optional),
    row(|s| &mut s.task_real_parent, "task_struct", &["real_parent"], Word, Optional),
    row(|s| &mut s.task_cred, "task_struct", &["cred"], Word, Required),
    // Only with CONFIG_CGROUPS.
    row(|s| &mut s.task_cgroups, "task_struct", &["cgroups"], Word, Optional),
    row(|s| &mut s.task_signal, "task_struct", &["signal"], Word, Required),
    row(|s| &mut s.task_mm, "task_struct", &["mm"], Word, Optional),
    row(|s| &mut s.cred_uid, "cred", &["uid.val"], Bytes(4), Required),
    row(|s| &mut s.css_set_dfl_cgrp, "css_set", &["dfl_cgrp"], Word, Optional),
    row(|s| &mut s.cgroup_kn, "cgroup", &["kn"], Word, Optional),
    row(|s| &mut s.cgroup_root, "cgroup", &["root"], Word, Optional),
    row(|s| &mut s.cgroup_root_hierarchy_id, "cgroup_root", &["hierarchy_id"], Bytes(4), Optional),
    // A union of 8 bytes up to 5.4.
    row(|s| &mut s.kernfs_node_id, "kernfs_node", &["id"], Bytes(8), Optional),
    row(|s| &mut s.signal_live, "signal_struct", &["live.counter"], Bytes(4), Required),
    row(|s| &mut s.mm_arg_start, "mm_struct", &["arg_start"], Word, Optional),
    row(|s| &mut s.bprm_filename, "linux_binprm", &["filename"], Word, Required),
    row(|s| &mut s.bprm_file, "linux_binprm", &["file"], Word, Required),
    row(|s| &mut s.file_inode, "file", &["f_inode"], Word, Required),
    row(|s| &mut s.file_dentry, "file", &["f_path.dentry"], Word, Required),
    row(|s| &mut s.inode_ino, "inode", &["i_ino"], Word, Required),
    row(|s| &mut s.inode_sb, "inode", &["i_sb"], Word, Required),
    row(|s| &mut s.super_block_dev, "super_block", &["s_dev"], Bytes(4), Required),
    row(|s| &mut s.dentry_name, "dentry", &["d_name.name"], Word, Required),
];

/// Finds every offset in `btf`.
pub fn resolve(btf: &Btf) -> Result<Offsets, OffsetError> {
    let mut settings = Settings::UNSET;
    let mut absent = Vec::new();
    for row in ROWS {
        match find(btf, row.holder, row.paths) {
            Ok((path, member)) => *(row.slot)(&mut settings) = row.width.check(row.holder, path, member)?,
            Err(BtfError::NoStruct { .. } | BtfError::NoMember { .. }) if row.need == Optional => {
                absent.push(format!("{}.{}", row.holder, row.paths.first().unwrap_or(&"")));
            }
            Err(source) => return Err(OffsetError::Missing { source }),
        }
    }
    let (path, member) =
        find(btf, "sock", &["sk_protocol"]).map_err(|source| OffsetError::Missing { source })?;
    if !matches!(member.bytes, 1 | 2) {
        return Err(wrong_width("sock", path, member, "1 or 2"));
    }
    settings.sk_protocol = member.offset;
    settings.sk_protocol_bytes = member.bytes;
    Ok(Offsets {
        settings,
        absent,
        accept_parameters: btf.parameters("inet_csk_accept"),
    })
}

/// The first of `paths` that exists.
fn find<'a>(btf: &Btf, holder: &str, paths: &[&'a str]) -> Result<(&'a str, Member), BtfError> {
    let mut missing = BtfError::NoStruct {
        name: holder.to_owned(),
    };
    for path in paths {
        let mut steps = [""; 4];
        let mut count = 0;
        for (step, name) in steps.iter_mut().zip(path.split('.')) {
            *step = name;
            count += 1;
        }
        match btf.member(holder, steps.get(..count).unwrap_or_default()) {
            Ok(member) => return Ok((path, member)),
            Err(error @ BtfError::NoMember { .. }) => missing = error,
            Err(error) => return Err(error),
        }
    }
    Err(missing)
}

impl Width {
    fn check(self, holder: &str, path: &str, member: Member) -> Result<u32, OffsetError> {
        let word = u32::try_from(size_of::<usize>()).unwrap_or(u32::MAX);
        let (fits, wanted) = match self {
            Bytes(bytes) => (member.bytes == bytes, shown(bytes)),
            Word => (member.bytes == word, "a word"),
            AtLeast(bytes) => (member.bytes >= bytes, shown(bytes)),
        };
        if fits {
            Ok(member.offset)
        } else {
            Err(wrong_width(holder, path, member, wanted))
        }
    }
}

const fn shown(bytes: u32) -> &'static str {
    match bytes {
        1 => "1",
        2 => "2",
        4 => "4",
        8 => "8",
        _ => "16",
    }
}

fn wrong_width(holder: &str, path: &str, member: Member, wanted: &'static str) -> OffsetError {
    OffsetError::Width {
        member: format!("{holder}.{path}"),
        found: member.bytes,
        wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::btf::VMLINUX;
    use std::path::Path;
    use tracer_common::settings::ABSENT;

    #[test]
    fn the_running_kernel_has_every_required_offset() {
        let Ok(btf) = Btf::read(Path::new(VMLINUX)) else {
            eprintln!("skipped: {VMLINUX} cannot be read");
            return;
        };
        let found = resolve(&btf).unwrap();
        let settings = found.settings;
        assert_eq!(
            settings.sk_family, 16,
            "sock_common begins with 16 bytes of addresses, hash and ports"
        );
        assert_eq!((settings.sk_daddr, settings.sk_rcv_saddr), (0, 4));
        assert_eq!((settings.sk_dport, settings.sk_num), (12, 14));
        assert_eq!(settings.sk_protocol_bytes, 2);
        assert!(matches!(found.accept_parameters, Some(2 | 4)), "{found:?}");
        let values = format!("{settings:?}");
        let unset = values.matches(&ABSENT.to_string()).count();
        assert_eq!(
            unset,
            11 + found.absent.len(),
            "wake_bytes and the ten of the classic tracepoint are left to others: {values}"
        );
    }

    #[test]
    fn a_kernel_without_a_required_struct_is_refused_by_name() {
        let empty = Btf::parse(crate::loader::btf::tests::Builder::default().finish()).unwrap();
        let error = resolve(&empty).unwrap_err().to_string();
        assert!(error.contains("struct sock"), "{error}");
    }
}
