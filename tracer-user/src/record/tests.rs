//! Round trips, every prefix, every changed byte, arbitrary bytes, bombs, limits.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use proptest::{collection::vec, prelude::*};
use tracer_common::{counters::Counters, wire::WIRE_VERSION};
use zerocopy::FromBytes;
use zstd::zstd_safe::CParameter;

use super::*;
use crate::signal::{
    Backend, Degraded, ProcessFacts, Session, Signal,
    host::{HostFact, HostFacts},
    inventory::{Fact, Inventory, Origin, PodFacts, SourceState},
    nat::NatFacts,
    program::ProgramState,
};

/// A signal that owns what it tells.
#[derive(Clone, Debug)]
enum Owned {
    Start(Session),
    Record(Vec<u8>),
    SnapshotBegin(u64),
    Row(Vec<u8>),
    Remembered(Vec<(u64, u64)>),
    SnapshotEnd(u64, bool),
    Process(ProcessFacts),
    Counters(Counters),
    Degraded(Degraded),
    Canary(u16, u64),
    Tick(u64),
    Cgroup(u64, String),
    Inventory(Inventory),
    Host(HostFacts),
    Nat(NatFacts),
    Source(SourceState),
    Programs(Vec<ProgramState>),
}

impl Owned {
    fn signal(&self) -> Signal<'_> {
        match self {
            Self::Start(session) => Signal::Start(session),
            Self::Record(bytes) => Signal::Record(bytes),
            Self::SnapshotBegin(at_ns) => Signal::SnapshotBegin { at_ns: *at_ns },
            Self::Row(bytes) => Signal::Row(bytes),
            Self::Remembered(pairs) => Signal::Remembered(pairs),
            Self::SnapshotEnd(at_ns, complete) => Signal::SnapshotEnd {
                at_ns: *at_ns,
                complete: *complete,
            },
            Self::Process(facts) => Signal::Process(facts),
            Self::Counters(counters) => Signal::Counters(counters),
            Self::Degraded(degraded) => Signal::Degraded(degraded),
            Self::Canary(port, at_ns) => Signal::Canary {
                port: *port,
                at_ns: *at_ns,
            },
            Self::Tick(at_ns) => Signal::Tick { at_ns: *at_ns },
            Self::Cgroup(id, path) => Signal::Cgroup { id: *id, path },
            Self::Inventory(inventory) => Signal::Inventory(inventory),
            Self::Host(facts) => Signal::Host(facts),
            Self::Nat(nat) => Signal::Nat(nat),
            Self::Programs(programs) => Signal::Programs(programs),
            Self::Source(state) => Signal::Source(state),
        }
    }
}

fn program() -> impl Strategy<Value = ProgramState> {
    let text = || "[a-z_]{0,16}";
    let skipped = proptest::option::of(any::<u64>());
    (text(), any::<bool>(), skipped, any::<u64>()).prop_map(|(program, twin, skipped, healed)| ProgramState {
        part: "state".to_owned(),
        program,
        twin,
        attached: !twin,
        skipped,
        healed,
    })
}

/// Signals of the sources of names, and of the programs.
fn any_naming() -> impl Strategy<Value = Owned> {
    let text = || any::<String>();
    prop_oneof![
        (any::<u64>(), text()).prop_map(|(id, path)| Owned::Cgroup(id, path)),
        (any::<u64>(), text(), any::<bool>()).prop_map(|(at_ns, name, ended)| Owned::Inventory(Inventory {
            origin: Origin::Cri,
            at_ns,
            fact: Fact::Pod(Box::new(PodFacts {
                uid: name.clone(),
                labels: vec![(name.clone(), name.clone())],
                addresses: vec![std::net::IpAddr::from(at_ns.to_be_bytes().map(u16::from))],
                containers: vec![(name, None)],
                ended,
                ..PodFacts::default()
            })),
        })),
        (any::<u64>(), any::<u32>(), text(), 0..4_u8).prop_map(|(at_ns, inode, name, kind)| Owned::Host(
            HostFacts {
                at_ns,
                fact: match kind {
                    0 => HostFact::Namespace(inode, name),
                    1 => HostFact::NamespaceGone(inode, name),
                    2 => HostFact::Address(std::net::Ipv4Addr::from(inode).into()),
                    _ => HostFact::AddressGone(std::net::Ipv4Addr::from(inode).into()),
                },
            }
        )),
        (any::<u64>(), any::<[u8; 4]>(), any::<bool>()).prop_map(|(at_ns, ip, gone)| Owned::Nat(NatFacts {
            at_ns,
            netns: 7,
            gone,
            original_source: (ip, 1).into(),
            original_destination: (ip, 2).into(),
            reply_source: (ip, 3).into(),
            reply_destination: (ip, 4).into(),
        })),
        vec(program(), 0..4).prop_map(Owned::Programs),
        (any::<u64>(), text(), any::<bool>()).prop_map(|(at_ns, source, off)| Owned::Source(SourceState {
            fault: off.then(|| Degraded {
                what: source.clone(),
                why: source.clone(),
                remedy: source.clone()
            }),
            source,
            at_ns,
        })),
    ]
}

fn any_signal() -> impl Strategy<Value = Owned> {
    let text = || any::<String>();
    let backend = (text(), text(), text()).prop_map(|(program, backend, why)| Backend {
        program,
        backend,
        why,
    });
    let session = (
        text(),
        any::<i64>(),
        any::<u64>(),
        any::<u32>(),
        vec((any::<u32>(), text()), 0..3),
        vec(backend, 0..3),
    )
        .prop_map(|(text, offset, at_ns, number, netns_names, backends)| Session {
            version: text.clone(),
            hostname: text.clone(),
            boot_id: text.clone(),
            kernel: text,
            wall_offset_ns: offset,
            attached_ns: at_ns,
            self_tgid: number,
            self_netns: number,
            host_netns: number,
            node: None,
            netns_names,
            first_process_cgroup: None,
            backends,
            ring_bytes: number,
            sockets_max: number,
        });
    let process = (
        any::<u32>(),
        any::<u64>(),
        text(),
        proptest::option::of(text()),
        vec(text(), 0..4),
    )
        .prop_map(|(number, at_ns, comm, exe, args)| ProcessFacts {
            tgid: number,
            parent_tgid: number,
            uid: number,
            start_ns: at_ns,
            read_ns: at_ns,
            comm,
            cgroup: exe.clone(),
            exe,
            args,
            netns: Some(number),
            login: Some(crate::signal::Login {
                uid: number,
                name: None,
                session: Some(number),
            })
            .filter(|_| number % 2 == 0),
            terminal: number % 3 == 0,
        });
    let bytes = || vec(any::<u8>(), 0..300);
    prop_oneof![
        session.prop_map(Owned::Start),
        bytes().prop_map(Owned::Record),
        any::<u64>().prop_map(Owned::SnapshotBegin),
        bytes().prop_map(Owned::Row),
        vec((any::<u64>(), any::<u64>()), 0..20).prop_map(Owned::Remembered),
        (any::<u64>(), any::<bool>()).prop_map(|(at_ns, complete)| Owned::SnapshotEnd(at_ns, complete)),
        process.prop_map(Owned::Process),
        vec(any::<u8>(), size_of::<Counters>())
            .prop_map(|bytes| Owned::Counters(Counters::read_from_bytes(&bytes).unwrap())),
        (text(), text(), text()).prop_map(|(what, why, remedy)| Owned::Degraded(Degraded {
            what,
            why,
            remedy
        })),
        (any::<u16>(), any::<u64>()).prop_map(|(port, at_ns)| Owned::Canary(port, at_ns)),
        any::<u64>().prop_map(Owned::Tick),
        any_naming(),
    ]
}

/// A directory of its own, removed afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("kcn-trace-record-{}-{number}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn file(&self) -> PathBuf {
        self.0.join("recording")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// The file that recording `signals` makes; `finish` as a user would, or a crash after the last block.
fn recorded(signals: &[Owned], finish: bool) -> Vec<u8> {
    let scratch = Scratch::new();
    let mut recorder = Recorder::create(&scratch.file(), Limits::default()).unwrap();
    for signal in signals {
        assert_eq!(recorder.record(&signal.signal()).unwrap(), Progress::Recording);
    }
    if finish {
        let summary = recorder.finish().unwrap();
        assert_eq!(summary.signals, signals.len() as u64);
        assert_eq!(summary.bytes, fs::metadata(scratch.file()).unwrap().len());
    }
    fs::read(scratch.file()).unwrap()
}

/// Everything a reader gets from `bytes`: the signals, how it ended, the error.
fn read(bytes: &[u8]) -> (Vec<String>, Option<End>, Option<ReadError>) {
    let mut out = Vec::new();
    let mut recording = match Recording::from_reader(bytes, Path::new("test")) {
        Ok(recording) => recording,
        Err(error) => return (out, None, Some(error)),
    };
    loop {
        match recording.next() {
            Ok(Some(signal)) => out.push(format!("{signal:?}")),
            Ok(None) => return (out, recording.end(), None),
            Err(error) => {
                assert!(
                    recording.next().unwrap().is_none(),
                    "nothing comes after an error"
                );
                return (out, None, Some(error));
            }
        }
    }
}

fn shown(signals: &[Owned]) -> Vec<String> {
    signals
        .iter()
        .map(|signal| format!("{:?}", signal.signal()))
        .collect()
}

/// Every kind of signal, in four blocks.
fn sample() -> Vec<Owned> {
    let second = 1_000_000_000;
    let process = ProcessFacts {
        tgid: 7,
        comm: "etcd".into(),
        args: vec!["etcd".into()],
        ..ProcessFacts::default()
    };
    vec![
        Owned::Start(Session {
            version: "0.1.0".into(),
            attached_ns: second,
            ..Session::default()
        }),
        Owned::SnapshotBegin(second + 1),
        Owned::Row(vec![7; 144]),
        Owned::Remembered(vec![(1, 2), (u64::MAX, 4)]),
        Owned::SnapshotEnd(second + 2, true),
        Owned::Process(process),
        Owned::Tick(2 * second),
        Owned::Record((0..144).collect()),
        Owned::Tick(3 * second),
        Owned::Counters(Counters {
            opened: 3,
            ..Counters::default()
        }),
        Owned::Canary(2379, 4 * second),
        Owned::Degraded(Degraded {
            what: "a".into(),
            why: "b".into(),
            remedy: "c".into(),
        }),
    ]
}

#[test]
fn an_ended_recording_says_so() {
    let (signals, end, error) = read(&recorded(&sample(), true));
    assert_eq!(signals, shown(&sample()));
    assert_eq!(end, Some(End::Finished));
    assert!(error.is_none(), "{error:?}");
}

#[test]
fn a_killed_recorder_loses_at_most_the_last_second() {
    let (signals, end, error) = read(&recorded(&sample(), false));
    let expected = shown(&sample());
    assert_eq!(
        signals,
        expected[..expected.len() - 1],
        "all up to the last time a second had passed"
    );
    assert_eq!(end, None);
    assert!(
        matches!(error, Some(ReadError::CutOff { block: 3, .. })),
        "{error:?}"
    );
}

#[test]
fn every_prefix_gives_a_prefix_of_the_signals_and_says_that_it_is_cut_off() {
    let whole = recorded(&sample(), true);
    let expected = shown(&sample());
    let mut most = 0;
    for len in 0..whole.len() {
        let (signals, end, error) = read(&whole[..len]);
        assert!(expected.starts_with(&signals), "prefix of {len} bytes");
        assert!(signals.len() >= most, "prefix of {len} bytes");
        most = signals.len();
        assert_eq!(end, None, "prefix of {len} bytes");
        assert!(
            matches!(error, Some(ReadError::CutOff { .. })),
            "prefix of {len} bytes: {error:?}"
        );
    }
}

#[test]
fn every_changed_byte_is_an_error_or_changes_nothing() {
    let whole = recorded(&sample(), true);
    let expected = shown(&sample());
    for at in 0..whole.len() {
        for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            let mut bytes = whole.clone();
            bytes[at] ^= mask;
            let (signals, end, error) = read(&bytes);
            assert!(expected.starts_with(&signals), "byte {at} mask {mask}");
            match error {
                Some(ReadError::CutOff { .. } | ReadError::Read { .. }) => {
                    panic!("byte {at} mask {mask}: {error:?}")
                }
                Some(_) => assert_eq!(end, None),
                None => assert_eq!(
                    (signals.len(), end),
                    (expected.len(), Some(End::Finished)),
                    "byte {at} mask {mask}"
                ),
            }
        }
    }
}

#[test]
fn a_file_of_another_kind_or_version_is_named() {
    let whole = recorded(&sample(), true);
    let edit = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        bytes
    };
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("empty", vec![], "truncated in block 0 at byte 0"),
        (
            "a picture",
            b"\x89PNG\r\n\x1a\n and more bytes".to_vec(),
            "not a recording of kcn-trace",
        ),
        (
            "shorter than the header, but another beginning",
            b"KC?".to_vec(),
            "not a recording",
        ),
        (
            "a newer format",
            edit(8, 9),
            "recording format 9, this kcn-trace reads 3",
        ),
        (
            "another layout of records",
            edit(10, 200),
            "records of layout 200",
        ),
        ("another byte order", edit(11, 3 - ORDER), "another byte order"),
        (
            "something after the end",
            [&whole[..], b"x"].concat(),
            "something follows the end",
        ),
    ];
    for (name, bytes, want) in cases {
        let (_signals, _end, error) = read(bytes);
        let error = error.unwrap().to_string();
        assert!(error.contains(want), "case: {name}: {error}");
    }
}

/// A file with one block of `plain` bytes, whatever they are, that claims to hold `claimed`.
fn forged(plain: &[u8], claimed: usize) -> Vec<u8> {
    let mut zstd = zstd::bulk::Compressor::new(1).unwrap();
    zstd.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
    let stored = zstd.compress(plain).unwrap();
    let lengths = [stored.len(), claimed].map(|length| u32::try_from(length).unwrap());
    let mut out = MAGIC.to_vec();
    out.extend(FORMAT.to_le_bytes());
    out.extend([WIRE_VERSION, ORDER]);
    for field in [lengths[0], lengths[1], block_check(lengths[0], lengths[1], 0)] {
        out.extend(field.to_le_bytes());
    }
    out.extend(stored);
    out
}

#[test]
fn a_forged_block_is_refused_for_its_reason() {
    let signal = |tag: u8, payload: &[u8]| {
        let mut out = vec![tag];
        out.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
        out.extend(payload);
        out
    };
    let exact = |plain: Vec<u8>| forged(&plain, plain.len());
    let bomb = vec![0; 64 << 20];
    let cases: &[(&str, Vec<u8>, Damage)] = &[
        (
            "a bomb that claims to be small",
            forged(&bomb, 1000),
            Damage::Content,
        ),
        (
            "a bomb that admits its size",
            forged(&bomb, bomb.len()),
            Damage::Size,
        ),
        ("nothing in it", forged(&[], 0), Damage::Size),
        ("less than claimed", forged(&[0; 10], 11), Damage::Content),
        ("a tag from the future", exact(signal(77, &[])), Damage::Tag(77)),
        (
            "a signal longer than the block",
            exact(vec![2, 255, 255, 255, 255]),
            Damage::Length,
        ),
        ("half a prefix", exact(vec![2, 0]), Damage::Length),
        (
            "a clock of seven bytes",
            exact(signal(11, &[0; 7])),
            Damage::Payload(11),
        ),
        (
            "facts that are not JSON",
            exact(signal(7, b"{")),
            Damage::Payload(7),
        ),
        ("half a socket", exact(signal(5, &[0; 24])), Damage::Payload(5)),
        (
            "neither complete nor not",
            exact(signal(6, &[2; 9])),
            Damage::Payload(6),
        ),
        (
            "an end of an unknown kind",
            exact(signal(255, &[9; 9])),
            Damage::Payload(255),
        ),
        (
            "an end that counts what is not there",
            exact(signal(255, &[0, 1, 0, 0, 0, 0, 0, 0, 0])),
            Damage::Count { counted: 1, found: 0 },
        ),
        (
            "a signal behind the end",
            exact([signal(255, &[0; 9]), signal(2, &[])].concat()),
            Damage::AfterEnd,
        ),
    ];
    for (name, bytes, want) in cases {
        match read(bytes).2 {
            Some(ReadError::Damaged { damage, .. }) => assert_eq!(damage, *want, "case: {name}"),
            other => panic!("case: {name}: {other:?}"),
        }
    }
}

#[test]
fn a_bomb_takes_no_more_memory_than_it_claims() {
    let bytes = forged(&vec![0; 64 << 20], 1000);
    let mut recording = Recording::from_reader(&bytes[..], Path::new("test")).unwrap();
    recording.next().unwrap_err();
    let (stored, plain) = recording.memory();
    assert!(stored <= 1 << 20 && plain <= 1000, "{stored} {plain}");
}

#[test]
fn blocks_that_change_places_are_noticed() {
    let whole = recorded(&sample(), true);
    let length = |at: usize| 12 + u32::from_le_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
    let first = 12..12 + length(12);
    let second = first.end..first.end + length(first.end);
    let swapped = [
        &whole[..12],
        &whole[second.clone()],
        &whole[first],
        &whole[second.end..],
    ]
    .concat();
    let (signals, _end, error) = read(&swapped);
    assert!(signals.is_empty());
    assert!(
        matches!(
            error,
            Some(ReadError::Damaged {
                damage: Damage::Header,
                ..
            })
        ),
        "{error:?}"
    );
}

#[test]
fn a_time_limit_is_told_with_the_tick_that_reaches_it_and_what_ends_the_run_is_kept() {
    let scratch = Scratch::new();
    let limits = Limits {
        duration_ns: Some(500),
        bytes: None,
    };
    let mut recorder = Recorder::create(&scratch.file(), limits).unwrap();
    let session = Session {
        attached_ns: 1000,
        ..Session::default()
    };
    let mut progress = Vec::new();
    for signal in [
        Signal::Start(&session),
        Signal::Tick { at_ns: 1499 },
        Signal::Tick { at_ns: 1500 },
        Signal::Record(b"last"),
    ] {
        progress.push(recorder.record(&signal).unwrap());
    }
    let ended = Progress::Ended(Limit::Time);
    assert_eq!(progress, [Progress::Recording, Progress::Recording, ended, ended]);
    assert_eq!(recorder.finish().unwrap().end, End::Limit(Limit::Time));
    let (signals, end, _error) = read(&fs::read(scratch.file()).unwrap());
    assert_eq!((signals.len(), end), (4, Some(End::Limit(Limit::Time))));
}

#[test]
fn a_size_limit_ends_the_recording_with_the_block_that_reaches_it() {
    let scratch = Scratch::new();
    let limit = 600_000;
    let mut recorder = Recorder::create(
        &scratch.file(),
        Limits {
            bytes: Some(limit),
            duration_ns: None,
        },
    )
    .unwrap();
    let mut noise = 1_u64;
    let mut taken = 0;
    loop {
        let record: Vec<u8> = (0..144)
            .map(|_| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                noise.to_be_bytes()[0]
            })
            .collect();
        taken += 1;
        if recorder.record(&Signal::Record(&record)).unwrap() == Progress::Ended(Limit::Size) {
            break;
        }
    }
    // What the run says of itself at its end comes after the limit and before the end.
    let last = Counters {
        lost_socket: 623,
        ..Counters::default()
    };
    let progress = recorder.record(&Signal::Counters(&last)).unwrap();
    assert_eq!(progress, Progress::Ended(Limit::Size));
    let size = recorder.finish().unwrap().bytes;
    assert!((limit - 64..limit + 300_000).contains(&size), "{size}");
    let (signals, end, _error) = read(&fs::read(scratch.file()).unwrap());
    assert_eq!((signals.len(), end), (taken + 1, Some(End::Limit(Limit::Size))));
    assert_eq!(signals.last(), shown(&[Owned::Counters(last)]).first());
}

#[test]
fn only_the_owner_may_read_and_only_recordings_are_overwritten() {
    let scratch = Scratch::new();
    let path = scratch.file();
    let create = || Recorder::create(&path, Limits::default());
    let refused = || match create() {
        Err(RecordError::Occupied { .. }) => true,
        Err(other) => panic!("{other}"),
        Ok(_) => false,
    };
    fs::write(&path, recorded(&sample(), true)).unwrap();
    create().unwrap().finish().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        read(&fs::read(&path).unwrap()).1,
        Some(End::Finished),
        "a recording is replaced"
    );

    fs::write(&path, b"").unwrap();
    assert!(!refused(), "an empty file is taken");
    fs::write(&path, b"KCN").unwrap();
    assert!(
        refused(),
        "a file that only begins like a recording is left alone"
    );
    fs::write(&path, b"dear diary").unwrap();
    assert!(refused(), "another file is left alone");
    assert_eq!(fs::read(&path).unwrap(), b"dear diary");
    fs::remove_file(&path).unwrap();
    symlink(scratch.0.join("elsewhere"), &path).unwrap();
    assert!(refused(), "a link is not followed");
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    assert!(refused(), "a pipe is not waited for");
}

#[test]
fn two_recorders_do_not_share_a_file() {
    let scratch = Scratch::new();
    let first = Recorder::create(&scratch.file(), Limits::default()).unwrap();
    assert!(matches!(
        Recorder::create(&scratch.file(), Limits::default()),
        Err(RecordError::Busy { .. })
    ));
    first.finish().unwrap();
    Recorder::create(&scratch.file(), Limits::default())
        .unwrap()
        .finish()
        .unwrap();
}

#[test]
fn a_full_disk_leaves_what_was_written_and_ends_the_recording() {
    let scratch = Scratch::new();
    let mut recorder = Recorder::create(&scratch.file(), Limits::default()).unwrap();
    assert_eq!(
        recorder.record(&Signal::Tick { at_ns: 1 }).unwrap(),
        Progress::Recording
    );
    assert_eq!(
        recorder.record(&Signal::Tick { at_ns: 2_000_000_000 }).unwrap(),
        Progress::Recording
    );
    recorder.replace_file(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let error = recorder
        .record(&Signal::Tick { at_ns: 4_000_000_000 })
        .unwrap_err();
    assert!(matches!(error, RecordError::Write { .. }), "{error}");
    let error = recorder
        .record(&Signal::Tick { at_ns: 6_000_000_000 })
        .unwrap_err();
    assert!(matches!(error, RecordError::Stopped { .. }), "{error}");
    assert!(matches!(recorder.finish(), Err(RecordError::Stopped { .. })));
    let (signals, _end, error) = read(&fs::read(scratch.file()).unwrap());
    assert_eq!(signals.len(), 2);
    assert!(matches!(error, Some(ReadError::CutOff { .. })));
}

#[test]
fn a_signal_too_long_is_left_out_and_the_recording_goes_on() {
    let scratch = Scratch::new();
    let mut recorder = Recorder::create(&scratch.file(), Limits::default()).unwrap();
    let pairs = vec![(1, 2); SIGNAL_MAX / 16 + 1];
    let error = recorder.record(&Signal::Remembered(&pairs)).unwrap_err();
    assert!(matches!(error, RecordError::TooLong { .. }), "{error}");
    assert_eq!(
        recorder.record(&Signal::Remembered(&pairs[1..])).unwrap(),
        Progress::Recording
    );
    recorder.finish().unwrap();
    let (signals, end, error) = read(&fs::read(scratch.file()).unwrap());
    assert_eq!((signals.len(), end), (1, Some(End::Finished)), "{error:?}");
}

#[test]
fn a_missing_file_is_named() {
    let error = Recording::open(Path::new("/nonexistent/recording"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("/nonexistent/recording"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_signal_comes_back_as_it_was(signals in vec(any_signal(), 0..40)) {
        let (back, end, error) = read(&recorded(&signals, true));
        prop_assert_eq!(back, shown(&signals));
        prop_assert_eq!(end, Some(End::Finished));
        prop_assert!(error.is_none());
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..400), plain in vec(any::<u8>(), 1..400)) {
        let headed = [&recorded(&[], false)[..], &bytes].concat();
        for bytes in [bytes, headed, forged(&plain, plain.len())] {
            let (_signals, end, error) = read(&bytes);
            prop_assert!(error.is_some() || end.is_some());
        }
    }
}
