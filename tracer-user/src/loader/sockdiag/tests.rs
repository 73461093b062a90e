//! Messages built by hand, hostile ones, and a live namespace.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, AsRawFd},
    process::{Child, Command, Stdio},
    thread,
};

use proptest::{collection::vec, prelude::*};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use zerocopy::FromBytes;

use super::{
    dump::{DumpError, Dumped},
    netlink::{AF_INET, AF_INET6, Answer, AnswerError, Counters, mapped, parse, request},
    proc::{RESIDENTS_MAX, inode_in},
    *,
};

/// A netlink message.
fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend(0_u32.to_ne_bytes());
    out.extend(body);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// An `inet_diag_msg` with a `tcp_info` of `info` bytes behind another attribute.
fn diag(family: u8, state: u8, local: [u8; 16], remote: [u8; 16], info: usize) -> Vec<u8> {
    let mut out = vec![family, state, 0, 0];
    out.extend(2379_u16.to_be_bytes());
    out.extend(40000_u16.to_be_bytes());
    out.extend(local);
    out.extend(remote);
    out.extend([0; 12 + 16]);
    out.extend(77_u32.to_ne_bytes());
    let mut tcp_info = [0; 248];
    tcp_info[68..72].copy_from_slice(&150_u32.to_ne_bytes());
    tcp_info[100..104].copy_from_slice(&3_u32.to_ne_bytes());
    tcp_info[120..128].copy_from_slice(&8001_u64.to_ne_bytes());
    tcp_info[128..136].copy_from_slice(&5000_u64.to_ne_bytes());
    tcp_info[200..208].copy_from_slice(&9000_u64.to_ne_bytes());
    tcp_info[208..216].copy_from_slice(&1000_u64.to_ne_bytes());
    for (kind, payload) in [(8_u16, &[1_u8][..]), (2, &tcp_info[..info])] {
        out.extend(u16::try_from(4 + payload.len()).unwrap().to_ne_bytes());
        out.extend(kind.to_ne_bytes());
        out.extend(payload);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

const fn v4(last: u8) -> [u8; 16] {
    [127, 0, 0, last, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

const ESTABLISHED: u8 = 1;

fn answer() -> Vec<u8> {
    let mut out = message(20, 2, 7, &diag(AF_INET, ESTABLISHED, v4(1), v4(2), 248));
    out.extend(message(
        20,
        2,
        7,
        &diag(AF_INET6, LISTEN, Ipv6Addr::UNSPECIFIED.octets(), [0; 16], 248),
    ));
    out.extend(message(3, 2, 7, &0_i32.to_ne_bytes()));
    out
}

/// What a case makes of a `tcp_info`.
type Edit = fn(&mut [u8]);

#[test]
fn the_syn_among_the_bytes_acknowledged_tells_who_connected() {
    let listed = |state: u8, edit: Edit| {
        let mut body = diag(AF_INET, state, v4(1), v4(2), 248);
        let info = body.len() - 248;
        edit(&mut body[info..]);
        let (sockets, _end) = parsed(&message(20, 2, 7, &body));
        sockets[0].counters.unwrap()
    };
    let cases: &[(&str, u8, Edit, u8)] = &[
        ("one byte more than sent", 1, |_| {}, role::ACTIVE),
        ("as many as sent", 1, |info| info[120] = 0x40, role::PASSIVE),
        ("fewer than sent", 1, |info| info[120] = 0x3f, role::UNKNOWN),
        ("something is on its way", 1, |info| info[24] = 1, role::UNKNOWN),
        ("its own FIN counts too", 4, |_| {}, role::UNKNOWN),
        ("the peer's FIN does not", 8, |_| {}, role::ACTIVE),
    ];
    for (case, state, edit, want) in cases {
        assert_eq!(listed(*state, *edit).role, *want, "{case}");
    }
    let received = |state| listed(state, |_| {}).received_bytes;
    assert_eq!(
        [1, 4, 5, 8, 9, 11].map(received),
        [5000, 5000, 5000, 4999, 4999, 4999],
        "the peer's FIN is not a byte of payload"
    );
}

fn parsed(datagram: &[u8]) -> (Vec<Socket>, Result<Answer, AnswerError>) {
    let mut sockets = Vec::new();
    let end = parse(datagram, 7, |socket| sockets.push(socket));
    (sockets, end)
}

#[test]
fn an_answer_gives_its_sockets() {
    let counters = Counters {
        rtt_us: 150,
        retransmits: 3,
        received_bytes: 5000,
        sent_bytes: 8000,
        role: role::ACTIVE,
    };
    let established = Socket {
        family: AF_INET,
        state: ESTABLISHED,
        local_addr: mapped([127, 0, 0, 1]),
        remote_addr: mapped([127, 0, 0, 2]),
        local_port: 2379,
        remote_port: 40000,
        inode: 77,
        ifindex: 0,
        counters: Some(counters),
    };
    let listening = Socket {
        family: AF_INET6,
        state: LISTEN,
        local_addr: [0; 16],
        remote_addr: [0; 16],
        counters: None,
        ..established
    };
    assert_eq!(
        parsed(&answer()),
        (vec![established, listening], Ok(Answer::Done))
    );
    let old = message(20, 2, 7, &diag(AF_INET, ESTABLISHED, v4(1), v4(2), 192));
    let (sockets, end) = parsed(&old);
    assert_eq!(
        (sockets, end),
        (
            vec![Socket {
                counters: None,
                ..established
            }],
            Ok(Answer::More)
        ),
        "before 4.19"
    );
}

#[test]
fn every_end_of_an_answer_is_told_apart() {
    let cases: &[(&str, Vec<u8>, Result<Answer, AnswerError>)] = &[
        ("nothing", vec![], Ok(Answer::More)),
        (
            "the end",
            message(3, 2, 7, &0_i32.to_ne_bytes()),
            Ok(Answer::Done),
        ),
        (
            "the end without a status",
            message(3, 2, 7, &[]),
            Ok(Answer::Done),
        ),
        (
            "no such family",
            message(2, 0, 7, &(-2_i32).to_ne_bytes()),
            Err(AnswerError::Refused(2)),
        ),
        (
            "the most negative errno",
            message(2, 0, 7, &i32::MIN.to_ne_bytes()),
            Err(AnswerError::Refused(i32::MAX)),
        ),
        (
            "interrupted",
            message(20, 0x12, 7, &[]),
            Err(AnswerError::Interrupted),
        ),
        (
            "an answer to another request",
            message(2, 0, 6, &(-2_i32).to_ne_bytes()),
            Ok(Answer::More),
        ),
        (
            "a kind from the future",
            message(99, 0, 7, &[1, 2, 3]),
            Ok(Answer::More),
        ),
        (
            "half a socket",
            message(20, 2, 7, &[0; 40]),
            Err(AnswerError::Malformed {
                at: 0,
                what: "a cut socket",
            }),
        ),
        (
            "a length below the header's",
            vec![4, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0],
            Err(AnswerError::Malformed {
                at: 0,
                what: "a length outside the datagram",
            }),
        ),
        (
            "less than a header",
            vec![1],
            Err(AnswerError::Malformed {
                at: 0,
                what: "a cut header",
            }),
        ),
    ];
    for (name, datagram, want) in cases {
        assert_eq!(&parsed(datagram).1, want, "case: {name}");
    }
}

#[test]
fn every_prefix_of_an_answer_gives_a_prefix_of_its_sockets() {
    let whole = answer();
    let (all, _end) = parsed(&whole);
    for len in 0..whole.len() {
        let (sockets, end) = parsed(&whole[..len]);
        assert!(all.starts_with(&sockets), "prefix of {len} bytes");
        assert_ne!(end, Ok(Answer::Done), "prefix of {len} bytes");
    }
}

#[test]
fn the_request_asks_for_what_the_layout_says() {
    let request = request(AF_INET6, 9);
    assert_eq!(request.len(), 72);
    assert_eq!(request[..4], 72_u32.to_ne_bytes());
    assert_eq!(request[8..12], 9_u32.to_ne_bytes());
    assert_eq!(request[16..20], [10, 6, 2, 0], "family, TCP, tcp_info");
    let states = u32::from_ne_bytes(request[20..24].try_into().unwrap());
    let asked: Vec<u32> = (0..32).filter(|state| states >> state & 1 == 1).collect();
    assert_eq!(asked, [1, 2, 3, 4, 5, 8, 9, 10, 11]);
}

#[test]
fn lines_of_proc_net_are_read() {
    let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
    let local = word([127, 0, 0, 1]);
    let v6: String = [[0x20, 1, 0x0d, 0xb8], [0; 4], [0; 4], [0, 0, 0, 1]]
        .map(word)
        .concat();
    let line = |local: &str, state: &str| {
        format!(
            "   0: {local}:094B {local}:9C40 {state} 00000000:00000000 00:00000000 00000000  1000        0 77 1 0\n"
        )
    };
    let socket = procnet::parse(&line(&local, "01")).unwrap();
    assert_eq!(
        (socket.local_addr, socket.local_port, socket.remote_port),
        (mapped([127, 0, 0, 1]), 2379, 40000)
    );
    assert_eq!(
        (socket.family, socket.state, socket.inode, socket.counters),
        (AF_INET, 1, 77, None)
    );
    let socket = procnet::parse(&line(&v6, "0A")).unwrap();
    assert_eq!(
        Ipv6Addr::from(socket.local_addr),
        "2001:db8::1".parse::<Ipv6Addr>().unwrap()
    );
    assert_eq!((socket.family, socket.state), (AF_INET6, LISTEN));
    for (name, line) in [
        ("waiting out its time", line(&local, "06")),
        ("a request", line(&local, "03")),
        (
            "the heading",
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt".into(),
        ),
        ("an address of no family", line("0011", "01")),
        ("a cut line", "   0: 0100007F:094B".into()),
    ] {
        assert_eq!(procnet::parse(&line), None, "case: {name}");
    }
}

#[test]
fn a_missing_proc_is_named() {
    let error = list(Path::new("/nonexistent"), None, 0, &mut Vec::new())
        .unwrap_err()
        .to_string();
    assert!(error.contains("/nonexistent"), "{error}");
}

proptest! {
    #[test]
    fn hostile_answers_never_panic(bytes in vec(any::<u8>(), 0..300), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        parsed(&bytes).1.map_or_else(|error| assert!(!error.to_string().is_empty()), |_answer| ());
        let mut damaged = answer();
        for (at, value) in changes {
            let at = at.index(damaged.len());
            damaged[at] = value;
        }
        let (sockets, _end) = parsed(&damaged);
        prop_assert!(sockets.len() <= 2);
    }

    #[test]
    fn hostile_lines_never_panic(line in any::<String>(), fields in vec("[0-9A-F:]{0,40}", 0..14)) {
        procnet::parse(&line);
        procnet::parse(&fields.join(" "));
    }
}

/// A network namespace of its own with loopback up. It goes when its process does, and that when this one does:
/// it reads a pipe that this one holds.
struct Space {
    child: Child,
    netns: u32,
}

impl Space {
    fn new() -> Self {
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo ready && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        let link = fs::read_link(format!("/proc/{}/ns/net", child.id())).unwrap();
        Self {
            netns: inode_in(&link, "net:[").unwrap(),
            child,
        }
    }

    /// Runs `inside` in a thread in the namespace.
    fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        let file = File::open(format!("/proc/{}/ns/net", self.child.id())).unwrap();
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                inside()
            });
            inside.join().unwrap()
        })
    }

    /// What the whole list says about this namespace.
    fn list(&self) -> Vec<SocketRecord> {
        let mut rows = Vec::new();
        let listed = list(Path::new("/proc"), None, 5, &mut rows).unwrap();
        assert!(listed.complete, "{listed:?}");
        assert!(
            listed.namespaces >= 2 && listed.without_counters == 0,
            "{listed:?}"
        );
        let (chunks, []) = rows.as_chunks::<{ size_of::<SocketRecord>() }>() else {
            panic!("a cut row")
        };
        let records = chunks
            .iter()
            .map(|row| SocketRecord::read_from_bytes(row).unwrap());
        records
            .filter(|record| record.owner.netns == self.netns)
            .collect()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

/// A listener, both ends of a connection over which 1,000 bytes went.
fn connection(address: &str) -> (TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind(address).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _peer) = listener.accept().unwrap();
    client.write_all(&[0; 1000]).unwrap();
    server.read_exact(&mut [0; 1000]).unwrap();
    (listener, client, server)
}

/// Family, state and both ends: what names a socket here and in /proc/net/tcp.
fn key(family: u8, state: u8, local: ([u8; 16], u16), remote: ([u8; 16], u16)) -> String {
    let remote = if state == LISTEN { ([0; 16], 0) } else { remote };
    format!("{family} {state} {local:?} {remote:?}")
}

#[test]
#[ignore = "needs root"]
fn the_list_agrees_with_proc_net_tcp_in_another_namespace() {
    let space = Space::new();
    let (held, witness) = space.run(|| {
        let held = (
            connection("127.0.0.1:0"),
            connection("[::1]:0"),
            connection("[::]:0"),
        );
        let text =
            ["tcp", "tcp6"].map(|name| fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap());
        let witness: HashSet<String> = text
            .concat()
            .lines()
            .filter_map(procnet::parse)
            .map(|s| {
                key(
                    s.family,
                    s.state,
                    (s.local_addr, s.local_port),
                    (s.remote_addr, s.remote_port),
                )
            })
            .collect();
        (held, witness)
    });
    assert_eq!(witness.len(), 9);

    let records = space.list();
    let seen: HashSet<String> = records
        .iter()
        .map(|r| {
            key(
                r.family,
                r.state,
                (r.local_addr, r.local_port),
                (r.remote_addr, r.remote_port),
            )
        })
        .collect();
    assert_eq!(seen, witness);
    drop(held);
}

#[test]
#[ignore = "needs root"]
fn a_listed_socket_names_its_holder_and_counters() {
    let space = Space::new();
    let (listener, client, server) = space.run(|| connection("127.0.0.1:0"));
    let records = space.list();
    let this = std::process::id();
    let comm = fs::read_to_string("/proc/self/comm").unwrap();
    let uid = fs::metadata("/proc/self").unwrap();
    let record = |fd: i32| {
        let found = records
            .iter()
            .find(|r| r.owner.tgid == this && r.fd == u32::try_from(fd).unwrap());
        *found.unwrap_or_else(|| panic!("no row for descriptor {fd}: {records:?}"))
    };
    let (client_row, server_row, listener_row) = (
        record(client.as_raw_fd()),
        record(server.as_raw_fd()),
        record(listener.as_raw_fd()),
    );
    let all = flag::OWNER | flag::FOUND | flag::COUNTERS;
    assert_eq!(
        (client_row.flags, server_row.flags, listener_row.flags),
        (all, all, all & !flag::COUNTERS)
    );
    assert_eq!((client_row.sent_bytes, client_row.received_bytes), (1000, 0));
    assert_eq!((server_row.sent_bytes, server_row.received_bytes), (0, 1000));
    assert!(
        client_row.rtt_us > 0 && client_row.rtt_us < 1_000_000,
        "{client_row:?}"
    );
    assert_eq!(
        client_row.owner.comm.split(|byte| *byte == 0).next().unwrap(),
        comm.trim_end().as_bytes()
    );
    assert_eq!(client_row.owner.uid, std::os::unix::fs::MetadataExt::uid(&uid));
    assert_eq!(
        (listener_row.role, listener_row.remote_addr),
        (role::LISTENER, [0; 16])
    );
    let SocketAddr::V4(address) = client.local_addr().unwrap() else {
        panic!("IPv4")
    };
    assert_eq!(
        (client_row.local_addr, client_row.local_port),
        (mapped(address.ip().octets()), address.port())
    );
    assert_eq!(
        (
            client_row.header.at_ns,
            client_row.header.len,
            client_row.header.kind
        ),
        (5, 160, kind::SEEN)
    );
}

#[test]
#[ignore = "needs root"]
fn sockets_that_nobody_holds_are_listed_without_an_owner() {
    let space = Space::new();
    let held = space.run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener, client)
    });
    let records = space.list();
    let waiting: Vec<_> = records
        .iter()
        .filter(|record| record.flags & flag::OWNER == 0)
        .collect();
    assert_eq!((records.len(), waiting.len()), (3, 1), "{records:?}");
    assert_eq!(
        waiting[0].owner,
        Owner {
            netns: space.netns,
            ..Owner::default()
        }
    );
    assert_eq!(waiting[0].local_port, held.0.local_addr().unwrap().port());
}

#[test]
#[ignore = "needs root"]
fn a_namespace_that_cannot_be_entered_is_read_from_proc() {
    let space = Space::new();
    let held = space.run(|| (connection("127.0.0.1:0"), connection("[::1]:0")));
    let proc = Proc {
        root: Path::new("/proc"),
        cgroup2: None,
    };
    let refused = || Err(DumpError::Enter(io::ErrorKind::PermissionDenied.into()));
    let mut dumped = Dumped::default();
    dumped.add(proc, space.netns, &[u32::MAX, space.child.id()], refused());
    assert_eq!(
        (dumped.namespaces, dumped.without_counters, dumped.sockets.len()),
        (1, 1, 6),
        "{dumped:?}"
    );
    assert!(
        dumped.problems.is_empty()
            && dumped
                .sockets
                .iter()
                .all(|(netns, _socket)| *netns == space.netns)
    );

    dumped.add(proc, space.netns.wrapping_add(1), &[space.child.id()], refused());
    dumped.add(proc, space.netns, &[u32::MAX], refused());
    assert!(
        dumped.problems.is_empty(),
        "a namespace whose processes have ended has no sockets: {dumped:?}"
    );
    dumped.add(proc, 1, &[u32::MAX; RESIDENTS_MAX], refused());
    assert_eq!(dumped.problems.len(), 1, "others may still live in it");
    drop(held);
}
