//! Tests with hostile frames: whatever a member of the cluster sends, nothing panics and no limit is exceeded.

use std::time::{Duration, Instant};

use fastrand::Rng;

use super::{
    key::Key,
    member::{Member, TICK, Versions},
    wire::{Body, Frame, MAX_COUNT, Node, Refused},
};

const ROUNDS: u64 = 20_000;
/// The node that receives the frames.
const ME: Node = Node(1);

fn frame(node: u64, sequence: u64, payload: Vec<u8>) -> Frame {
    Frame { version: 1, node: Node(node), sequence, payload }
}

fn member() -> Member {
    let mut member = Member::new(ME, Versions::default());
    member.connected(Instant::now());
    member.on_tick(Instant::now());
    member
}

/// A member that has received the first frame of node 2 and counts it.
fn member_that_counts_2() -> Member {
    let mut member = member();
    let alive = Body::Alive { oldest: 1, newest: 1, heard: vec![(ME, 1)] };
    member.on_frame(Instant::now(), &frame(2, 1, alive.write())).unwrap();
    assert_eq!(member.peers(Instant::now()).count(), 1);
    member
}

/// A random payload: of any kind and length, with some bytes changed.
fn payload(rng: &mut Rng) -> Vec<u8> {
    let key = Key([rng.u8(..); 16]);
    let body = match rng.u8(..8) {
        0 => Body::Delta(vec![(key, rng.u32(..)); rng.usize(..5)]),
        1 => Body::Full { low: 0, high: u32::MAX, entries: vec![(key, rng.u32(..=MAX_COUNT)); rng.usize(..5)] },
        2 => Body::Alive { oldest: rng.u8(..), newest: rng.u8(..), heard: vec![(ME, rng.u64(..100)); rng.usize(..3)] },
        3 => Body::Who,
        4 => Body::NamesWanted(vec![key; rng.usize(..200)]),
        5 => Body::Names(vec!["example.org/a".into(); rng.usize(..5)]),
        6 => Body::Bye,
        _ => return (0..rng.usize(..100)).map(|_| rng.u8(..)).collect(),
    };
    let mut bytes = body.write();
    for _ in 0..rng.usize(..3) {
        let idx = rng.usize(..bytes.len());
        bytes[idx] = rng.u8(..);
    }
    bytes.truncate(rng.usize(..=bytes.len() * 2));
    bytes
}

#[test]
fn random_frames_cause_no_panic_and_exceed_no_limit() {
    let (mut rng, mut member, mut now) = (Rng::with_seed(9), member(), Instant::now());
    for round in 1..=ROUNDS {
        now += Duration::from_millis(1);
        // There are more nodes than allowed.
        let hostile = frame(rng.u64(3..400), rng.u64(..), payload(&mut rng));
        let _ = member.on_frame(now, &hostile);
        if round % 100 == 0 {
            for sent in member.on_tick(now) {
                assert!(sent.payload.len() < 256 * 1024);
            }
            assert!(member.peers(now).count() <= 256);
            assert!(member.take_changed().len() <= 2_000_000);
        }
    }
}

#[test]
fn malformed_frames_are_refused_with_the_reason() {
    let (mut member, now) = (member(), Instant::now());
    let key = Key([7; 16]);
    let too_many = Body::Delta(vec![(key, MAX_COUNT + 1)]);
    for (sequence, payload, reason) in [
        (1, Vec::new(), Refused::Malformed),
        (1, too_many.write(), Refused::Malformed),
        (1, b"f\x10\x02\0\0\0\x01\0\0\0".to_vec(), Refused::Malformed),
        (1, b"f\x40\0\0\0\0\0\0\0\0".to_vec(), Refused::Malformed),
        (1, b"z\x10".to_vec(), Refused::Kind),
        (1, Body::Who.write(), Refused::Late),
    ] {
        assert_eq!(member.on_frame(now, &frame(2, sequence, payload)).err(), Some(reason));
    }
    let newer = Frame { version: 2, ..frame(2, 9, Body::Who.write()) };
    assert_eq!(member.on_frame(now, &newer).err(), Some(Refused::Version));
}

#[test]
fn a_node_that_sends_too_fast_is_refused_for_a_while() {
    let (mut member, now) = (member_that_counts_2(), Instant::now());
    let entries = (0..2_000_u32).map(|idx| (Key([idx.to_be_bytes(); 4].concat().try_into().unwrap()), 1)).collect();
    let payload = Body::Delta(entries).write();
    let refused = (2..2_000).find_map(|sequence| member.on_frame(now, &frame(2, sequence, payload.clone())).err());
    assert_eq!(refused, Some(Refused::TooFast));
    let later = now + Duration::from_secs(1);
    assert!(member.on_frame(later, &frame(2, 2_000, payload)).is_ok());
}

#[test]
fn frames_with_another_number_of_shards_are_understood() {
    let (mut member, now) = (member_that_counts_2(), Instant::now());
    let entry = |first: u8| (Key([first; 16]), 5);
    let full = |shard_bits: u8, low: u32, high: u32, first: u8| {
        let mut bytes = vec![b'f', shard_bits];
        bytes.extend(low.to_le_bytes());
        bytes.extend(high.to_le_bytes());
        bytes.extend(entry(first).0.0);
        bytes.extend(5_u32.to_le_bytes());
        bytes
    };
    // Four shards: the second begins with 0x40.
    member.on_frame(now, &frame(2, 2, full(2, 1, 1, 0x41))).unwrap();
    member.on_frame(now, &frame(2, 3, full(2, 2, 3, 0xff))).unwrap();
    assert_eq!([member.elsewhere(entry(0x41).0), member.elsewhere(entry(0xff).0)], [5, 5]);
    // The same shard again, with another page.
    member.on_frame(now, &frame(2, 4, full(2, 1, 1, 0x7f))).unwrap();
    assert_eq!([member.elsewhere(entry(0x41).0), member.elsewhere(entry(0x7f).0)], [0, 5]);
    assert_eq!(member.on_frame(now, &frame(2, 5, full(2, 1, 1, 0x80))).err(), Some(Refused::Malformed));
}

/// Lets time pass while these members send each other frames, which take 20 ms. Returns all frames of the first one.
fn talk(now: &mut Instant, seconds: u64, members: &mut [&mut Member]) -> Vec<Frame> {
    let mut recorded = Vec::new();
    for _ in 0..seconds * 10 {
        *now += TICK;
        for idx in 0..members.len() {
            let frames = members[idx].on_tick(*now);
            for (_, member) in members.iter_mut().enumerate().filter(|(other, _)| *other != idx) {
                frames.iter().for_each(|frame| drop(member.on_frame(*now + Duration::from_millis(20), frame)));
            }
            recorded.extend(frames.into_iter().filter(|_| idx == 0));
        }
    }
    recorded
}

#[test]
fn replayed_frames_of_a_node_that_is_gone_do_not_count() {
    let key = Key([7; 16]);
    let mut now = Instant::now();
    let mut node = |name| {
        let mut member = Member::new(Node(name), Versions::default());
        member.connected(now);
        member
    };
    let [mut gone, mut stays, mut comes, mut returns] = [2, 3, 4, 5].map(&mut node);
    gone.set_local(key, 9);
    let recorded = talk(&mut now, 3, &mut [&mut gone, &mut stays, &mut returns]);
    assert_eq!([stays.elsewhere(key), returns.elsewhere(key)], [9, 9]);
    returns.disconnected();
    // The first node is gone, and the others have forgotten it. Then one node comes, and one returns.
    talk(&mut now.clone(), 70, &mut [&mut returns]);
    talk(&mut now, 70, &mut [&mut stays]);
    comes.connected(now);
    returns.connected(now);
    talk(&mut now, 3, &mut [&mut stays, &mut comes, &mut returns]);
    for member in [&mut stays, &mut comes, &mut returns] {
        recorded.iter().for_each(|frame| drop(member.on_frame(now, frame)));
        assert_eq!(member.elsewhere(key), 0);
        assert_eq!(member.peers(now).count(), 2);
    }
    // The nodes that received the recorded frames still count each other.
    let others = talk(&mut now, 3, &mut [&mut stays, &mut comes, &mut returns]);
    assert!(!others.is_empty() && [&stays, &comes, &returns].iter().all(|member| member.peers(now).count() == 2));
}

#[test]
fn the_number_of_nodes_that_have_not_heard_us_is_limited() {
    let (mut member, now) = (member_that_counts_2(), Instant::now());
    let alive = Body::Alive { oldest: 1, newest: 1, heard: Vec::new() }.write();
    let mut hear = |node, payload: &[u8]| member.on_frame(now, &frame(node, 1, payload.to_vec())).err();
    assert!((3..259).all(|node| hear(node, &alive).is_none()));
    assert_eq!(hear(999, &alive), Some(Refused::TooManyNodes));
    assert_eq!(member.on_frame(now, &frame(3, 2, Body::Who.write())).err(), Some(Refused::Unproven));
    assert!(member.on_frame(now, &frame(2, 2, Body::Who.write())).is_ok());
    assert_eq!(member.peers(now).count(), 1);
}

#[test]
fn missing_frames_are_counted_and_asked_for_after_a_while() {
    let (mut member, now) = (member_that_counts_2(), Instant::now());
    member.on_tick(now + Duration::from_secs(1));
    let asked = member.tallies.asked;
    member.on_frame(now, &frame(2, 5, Body::Who.write())).unwrap();
    assert_eq!(member.tallies.lost, 3);
    // It does not ask at once, because a bus that loses frames has too many already.
    member.on_tick(now + Duration::from_millis(2_900));
    assert_eq!(member.tallies.asked, asked);
    member.on_tick(now + Duration::from_millis(3_100));
    assert_eq!(member.tallies.asked, asked + 1);
}
