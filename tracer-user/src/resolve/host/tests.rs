//! Names as they come and go in a directory, and what the kernel answers about addresses, well-formed and not.

use std::{
    collections::BTreeSet,
    fs,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use proptest::prelude::*;

use super::{
    addresses::Netlink,
    codec::{self, Address, Answer},
    names::Names,
};
use crate::signal::host::HostFact;

/// A directory of its own, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kcn-trace-names-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn looked(names: &mut Names) -> Vec<HostFact> {
    let mut told = Vec::new();
    names
        .look(|fact| {
            told.push(fact);
            Ok(())
        })
        .unwrap();
    told
}

/// What a name of a namespace leads to: the one of this process, which a link reaches as a mount does.
fn name(directory: &Directory, name: &str) -> u32 {
    std::os::unix::fs::symlink("/proc/self/ns/net", directory.0.join(name)).unwrap();
    let inode = fs::metadata("/proc/self/ns/net").unwrap().ino();
    u32::try_from(inode).unwrap()
}

#[test]
fn what_is_gone_is_told_before_what_came() {
    let directory = Directory::new("order");
    let mut names = Names::new(vec![directory.0.clone(), directory.0.join("nowhere")]);
    assert_eq!(looked(&mut names), []);
    let inode = name(&directory, "red");
    assert_eq!(looked(&mut names), [HostFact::Namespace(inode, "red".to_owned())]);
    assert_eq!(looked(&mut names), []);
    fs::remove_file(directory.0.join("red")).unwrap();
    name(&directory, "blue");
    fs::write(directory.0.join("left-behind"), "").unwrap();
    assert_eq!(
        looked(&mut names),
        [
            HostFact::NamespaceGone(inode, "red".to_owned()),
            HostFact::Namespace(inode, "blue".to_owned())
        ]
    );
}

#[test]
fn one_directory_that_is_reached_twice_tells_once() {
    let directory = Directory::new("twice");
    let inode = name(&directory, "red");
    let mut names = Names::new(vec![
        directory.0.clone(),
        directory.0.join("../").join(directory.0.file_name().unwrap()),
    ]);
    assert_eq!(looked(&mut names), [HostFact::Namespace(inode, "red".to_owned())]);
}

/// An answer with one address of an interface.
fn answer(family: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = vec![family, 24, 0, 0];
    body.extend(7_u32.to_ne_bytes());
    for (kind, payload) in attributes {
        body.extend(u16::try_from(payload.len() + 4).unwrap().to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(*payload);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut message = u32::try_from(body.len() + 16).unwrap().to_ne_bytes().to_vec();
    message.extend(20_u16.to_ne_bytes());
    message.extend([0, 0]);
    message.extend(5_u32.to_ne_bytes());
    message.extend([0; 4]);
    message.extend(body);
    message
}

fn parsed(bytes: &[u8]) -> Vec<Address> {
    let mut found = Vec::new();
    assert_eq!(
        codec::parse(bytes, 5, |address| found.push(address)).unwrap(),
        Answer::More
    );
    found
}

#[test]
fn the_local_side_of_an_interface_is_the_nodes() {
    let address = |text: &str| Address {
        interface: 7,
        address: text.parse::<IpAddr>().unwrap(),
    };
    let v6 = "fd00::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut bytes = answer(2, &[(1, &[10, 0, 0, 9]), (2, &[10, 0, 0, 1]), (3, b"tun0\0")]);
    bytes.extend(answer(10, &[(1, &v6)]));
    bytes.extend(answer(2, &[(1, &[10, 0, 0, 3])]));
    assert_eq!(
        parsed(&bytes),
        [address("10.0.0.1"), address("fd00::1"), address("10.0.0.3")]
    );
    for (case, bytes) in [
        ("another family", answer(7, &[(1, &[10, 0, 0, 3])])),
        ("a short address", answer(2, &[(1, &[10, 0, 0])])),
        ("none", answer(2, &[])),
    ] {
        assert_eq!(parsed(&bytes), [], "case: {case}");
    }
    let mut found = 0;
    codec::parse(&answer(2, &[(1, &[10, 0, 0, 3])]), 6, |_| found += 1).unwrap();
    assert_eq!(found, 0, "an answer to another question");
}

proptest! {
    #[test]
    fn any_answer_is_taken_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        cut in 0_usize..80,
        length in any::<u16>(),
    ) {
        let _refused = codec::parse(&bytes, 5, |_| {});
        let mut made = answer(2, &[(1, &[10, 0, 0, 3]), (2, &[10, 0, 0, 4])]);
        made[24..26].copy_from_slice(&length.to_ne_bytes());
        made.truncate(cut);
        let _refused = codec::parse(&made, 5, |_| {});
    }
}

/// The kernel's own table of addresses it takes packets for, in the text that `/proc` has of it.
fn local_addresses() -> BTreeSet<IpAddr> {
    let table = fs::read_to_string(Path::new("/proc/thread-self/net/fib_trie")).unwrap_or_default();
    let mut found = BTreeSet::new();
    let mut last = None;
    for line in table.lines() {
        let line = line.trim_start();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<IpAddr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(last.filter(|address| !address.is_loopback()));
        }
    }
    found
}

#[test]
fn the_kernel_tells_the_addresses_that_it_has() {
    let mut netlink = Netlink::open().unwrap();
    let told = netlink.addresses().unwrap();
    let v4: BTreeSet<IpAddr> = told.iter().copied().filter(IpAddr::is_ipv4).collect();
    assert_eq!(v4, local_addresses());
    assert!(told.iter().all(|address| !address.is_loopback()));
}
