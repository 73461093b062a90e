//! The codec over what a kernel said and over anything else; what is told of a table; faults.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::{
    codec::{Answer, AnswerError, Entry, Item, count, dump, parse},
    fault::Fault,
    known::Known,
    socket::ConntrackError,
};
use crate::signal::nat::NatFacts;

/// What a kernel said, by section.
fn captured(section: &str) -> Vec<Vec<u8>> {
    let text = include_str!("fixtures/linux-6.18.txt");
    let lines = text
        .lines()
        .skip_while(|line| *line != format!("# {section}"))
        .skip(1);
    lines
        .take_while(|line| !line.starts_with('#'))
        .map(|line| {
            let digits = line.as_bytes().chunks(2);
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            digits.map(byte).collect()
        })
        .collect()
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn entry(original: (&str, &str), reply: (&str, &str)) -> Entry {
    Entry {
        original: (addr(original.0), addr(original.1)),
        reply: (addr(reply.0), addr(reply.1)),
    }
}

fn items(datagram: &[u8], sequence: Option<u32>) -> (Vec<Item>, Result<Answer, AnswerError>) {
    let mut items = Vec::new();
    let answer = parse(datagram, sequence, |item| items.push(item));
    (items, answer)
}

/// What the captured host translated.
fn three() -> [Entry; 3] {
    [
        entry(
            ("10.77.1.2:38536", "10.96.0.10:80"),
            ("10.77.2.2:8080", "10.77.1.2:38536"),
        ),
        entry(
            ("10.77.1.2:50382", "10.96.0.10:90"),
            ("10.77.2.2:9090", "10.77.2.1:50382"),
        ),
        entry(
            ("[fd77:1::2]:50160", "[fd96::10]:80"),
            ("[fd77:2::2]:8080", "[fd77:1::2]:50160"),
        ),
    ]
}

#[test]
fn a_kernels_dump_is_read_to_its_end() {
    let datagrams = captured("dump");
    let mut found = Vec::new();
    let mut answers = Vec::new();
    for datagram in &datagrams {
        answers.push(parse(datagram, Some(7), |item| found.push(item)));
    }
    assert_eq!(answers.pop(), Some(Ok(Answer::Done)));
    assert!(
        answers.iter().all(|answer| *answer == Ok(Answer::More)),
        "{answers:?}"
    );
    for entry in three() {
        assert!(found.contains(&Item::Here(entry)), "{entry:?} of {found:?}");
    }
    assert_eq!(found.len(), 3, "neither the direct connection nor UDP: {found:?}");
    let other = datagrams.iter().flat_map(|datagram| items(datagram, Some(8)).0);
    assert_eq!(other.count(), 0, "the answer to another request");
}

#[test]
fn a_kernels_news_tell_what_came_and_what_went() {
    let (mut here, mut gone) = (Vec::new(), Vec::new());
    for datagram in captured("news") {
        let answer = parse(&datagram, None, |item| match item {
            Item::Here(entry) => here.push(entry),
            Item::Gone(entry) => gone.push(entry),
            Item::Entries(_) => panic!("{item:?}"),
        });
        assert_eq!(answer, Ok(Answer::More));
    }
    assert_eq!(here, three());
    gone.sort_by_key(|entry| entry.original);
    assert_eq!(gone, three());
}

#[test]
fn a_kernels_count_is_read() {
    let [datagram] = &captured("count")[..] else {
        panic!("one datagram")
    };
    assert_eq!(
        items(datagram, Some(8)),
        (vec![Item::Entries(5)], Ok(Answer::Done))
    );
}

#[test]
fn requests_are_what_the_kernel_expects() {
    // Length, type and flags, sequence, sender, family.
    let want = |kind: u16, flags: u16| {
        let mut bytes = 20_u32.to_ne_bytes().to_vec();
        bytes.extend([kind.to_ne_bytes(), flags.to_ne_bytes()].concat());
        bytes.extend([7_u32.to_ne_bytes(), [0; 4], [0; 4]].concat());
        bytes
    };
    assert_eq!(dump(7).to_vec(), want(0x101, 0x301));
    assert_eq!(count(7).to_vec(), want(0x105, 1));
}

#[test]
fn every_prefix_is_refused_or_read_and_nothing_else() {
    for section in ["dump", "news", "count"] {
        for datagram in captured(section) {
            let whole = items(&datagram, None).0;
            for length in 0..datagram.len() {
                let (part, answer) = items(&datagram[..length], None);
                assert!(part.len() <= whole.len(), "{section} {length}");
                assert_eq!(part[..], whole[..part.len()], "{section} {length}");
                let at_a_seam = part.len() == whole.len() || answer.is_err() || answer == Ok(Answer::More);
                assert!(at_a_seam, "{section} {length}: {answer:?}");
            }
        }
    }
}

fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(4 + payload.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A tuple; IPv6 where an address has 16 bytes.
fn tuple(nested: u16, proto: u8, source: (&[u8], u16), destination: (&[u8], u16)) -> Vec<u8> {
    let family = if source.0.len() == 4 { [1, 2] } else { [3, 4] };
    let ip = [
        attribute(family[0], source.0),
        attribute(family[1], destination.0),
    ]
    .concat();
    let ports = [
        attribute(1, &[proto]),
        attribute(2, &source.1.to_be_bytes()),
        attribute(3, &destination.1.to_be_bytes()),
    ];
    [attribute(1 | nested, &ip), attribute(2 | nested, &ports.concat())].concat()
}

fn message(kind: u16, attributes: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(20 + attributes.len())
        .unwrap()
        .to_ne_bytes()
        .to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend([0; 2 + 4 + 4 + 4]);
    bytes.extend(attributes);
    bytes
}

#[test]
fn what_is_of_no_interest_is_left_out() {
    const NESTED: u16 = 0x8000;
    let (client, service, backend) = ([10, 0, 0, 4], [10, 96, 0, 1], [10, 0, 0, 3]);
    let original = |nested, proto| tuple(nested, proto, (&client, 40_000), (&service, 443));
    let reply = |nested, proto| tuple(nested, proto, (&backend, 6443), (&client, 40_000));
    let plain = tuple(NESTED, 6, (&service, 443), (&client, 40_000));
    let body = |nested: u16, original: &[u8], reply: &[u8], status: Option<u32>| {
        let status = status
            .map(|bits| attribute(3, &bits.to_be_bytes()))
            .unwrap_or_default();
        [
            attribute(1 | nested, original),
            attribute(2 | nested, reply),
            status,
        ]
        .concat()
    };
    let dnat = Some(entry(
        ("10.0.0.4:40000", "10.96.0.1:443"),
        ("10.0.0.3:6443", "10.0.0.4:40000"),
    ));
    let (o, r) = (original(NESTED, 6), reply(NESTED, 6));
    let mapped = |[a, b, c, d]: [u8; 4]| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d];
    let six = (
        tuple(NESTED, 6, (&mapped(client), 40_000), (&mapped(service), 443)),
        tuple(NESTED, 6, (&mapped(backend), 6443), (&mapped(client), 40_000)),
    );
    let cases: [(&str, Vec<u8>, Option<Entry>); 10] = [
        (
            "TCP, destination translated",
            body(NESTED, &o, &r, Some(1 << 5)),
            dnat,
        ),
        (
            "the same without the mark of nested attributes",
            body(0, &original(0, 6), &reply(0, 6), Some(1 << 5)),
            dnat,
        ),
        ("no status: the tuples tell", body(NESTED, &o, &r, None), dnat),
        ("IPv4 in IPv6 is IPv4", body(NESTED, &six.0, &six.1, None), dnat),
        (
            "not translated, by its status",
            body(NESTED, &o, &r, Some(0x8e)),
            None,
        ),
        (
            "not translated, by its tuples",
            body(NESTED, &o, &plain, Some(1 << 5)),
            None,
        ),
        (
            "UDP",
            body(NESTED, &original(NESTED, 17), &reply(NESTED, 17), Some(1 << 5)),
            None,
        ),
        ("no reply", body(NESTED, &o, &[], Some(1 << 5)), None),
        (
            "an address of three bytes",
            {
                let odd = tuple(NESTED, 6, (&client[..3], 1), (&service[..3], 2));
                body(NESTED, &odd, &r, None)
            },
            None,
        ),
        ("nothing", Vec::new(), None),
    ];
    for (case, attributes, want) in cases {
        let (items, answer) = items(&message(0x100, &attributes), None);
        assert_eq!(answer, Ok(Answer::More), "{case}");
        assert_eq!(
            items,
            want.map(Item::Here).into_iter().collect::<Vec<_>>(),
            "{case}"
        );
    }
}

#[test]
fn refusals_and_ends_are_told() {
    let header = |kind: u16, body: &[u8]| {
        let mut bytes = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend([kind.to_ne_bytes(), [0; 2]].concat());
        bytes.extend([0; 8]);
        bytes.extend(body);
        bytes
    };
    let cases = [
        ("done", header(3, &0_i32.to_ne_bytes()), Ok(Answer::Done)),
        ("acknowledged", header(2, &0_i32.to_ne_bytes()), Ok(Answer::Done)),
        (
            "refused",
            header(2, &(-1_i32).to_ne_bytes()),
            Err(AnswerError::Refused(1)),
        ),
        (
            "a kind of later kernels",
            header(0x1ff, &[1, 2, 3, 4]),
            Ok(Answer::More),
        ),
    ];
    for (case, datagram, want) in cases {
        assert_eq!(items(&datagram, None), (vec![], want), "{case}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_or_read(bytes: Vec<u8>, sequence: Option<u32>) {
        let (found, _answer) = items(&bytes, sequence);
        prop_assert!(found.len() <= bytes.len() / 16);
    }

    #[test]
    fn any_byte_of_a_real_datagram_may_be_another(which in 0..6_usize, at in 0..1000_usize, byte: u8) {
        let mut all = captured("news");
        let datagram = &mut all[which];
        let at = at % datagram.len();
        datagram[at] = byte;
        let (found, _answer) = items(datagram, None);
        prop_assert!(found.len() <= 1);
    }
}

#[test]
fn a_table_tells_each_change_once() {
    let [a, b, c] = three();
    let told = |facts: Option<NatFacts>| facts.map(|facts| (facts.original_source, facts.gone));
    let mut known = Known::new(9);
    known.dump_begins();
    assert_eq!(told(known.row(a, 1)), Some((a.original.0, false)));
    assert_eq!(told(known.row(b, 1)), Some((b.original.0, false)));
    assert_eq!(known.dump_ended(1), []);
    assert!(known.has_unheard(), "older than whoever listens");
    assert_eq!(
        told(known.news(Item::Here(b), 2)),
        None,
        "heard while it was dumped"
    );
    assert_eq!(told(known.news(Item::Here(c), 2)), Some((c.original.0, false)));
    assert_eq!(told(known.news(Item::Gone(b), 3)), Some((b.original.0, true)));
    // News were lost: c has gone, b has come again.
    known.dump_begins();
    assert_eq!(told(known.row(a, 4)), None);
    assert_eq!(told(known.row(b, 4)), Some((b.original.0, false)));
    let gone = known.dump_ended(5);
    assert_eq!(gone.len(), 1);
    assert_eq!(
        (gone[0].original_source, gone[0].gone, gone[0].at_ns),
        (c.original.0, true, 5)
    );
    assert_eq!(gone[0].netns, 9);
    assert_eq!(known.all_gone(6).len(), 2);
}

#[test]
fn a_refusal_has_the_remedy_for_its_cause() {
    let refused = |errno| Fault::refused(&ConntrackError::Answer(AnswerError::Refused(errno)));
    let cases = [
        ("no right", refused(1), "CAP_NET_ADMIN"),
        (
            "no such part of the kernel",
            refused(22),
            "modprobe nf_conntrack_netlink",
        ),
        (
            "no netlink at all",
            Fault::refused(&ConntrackError::Socket(std::io::Error::from_raw_os_error(93))),
            "modprobe nf_conntrack_netlink",
        ),
        ("no memory for now", refused(12), "tried again"),
    ];
    for (case, fault, remedy) in cases {
        assert!(format!("{fault:?}").contains(remedy), "{case}: {fault:?}");
    }
}
