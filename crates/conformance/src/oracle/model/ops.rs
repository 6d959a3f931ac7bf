//! Random operations. They name keys, values and earlier results by small numbers, so that they shrink well and make
//! sense on any state.

use std::ops::Bound;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest_state_machine::ReferenceStateMachine;
use stead_core::{Key, KeyRange, Partition};

/// Neighbours, one a prefix of the other.
const PARTITIONS: [&str; 3] = ["agent:1", "agent:10", "b"];
const PATHS: [&[u8]; 6] = [b"", b"a", b"a/b", b"a0", b"A", b"\xff\xff"];

/// One of 18 keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot(u8);

impl Slot {
    pub(super) fn first() -> Self {
        Slot(0)
    }

    pub(super) fn key(self) -> Key {
        let place = usize::from(self.0);
        path_key(place % PARTITIONS.len(), place / PARTITIONS.len())
    }
}

fn partition(number: usize) -> Partition {
    Partition::new(PARTITIONS[number % PARTITIONS.len()]).expect("the model names valid partitions")
}

fn path_key(of: usize, path: usize) -> Key {
    Key::new(&partition(of), PATHS[path % PATHS.len()]).expect("the model names valid paths")
}

/// A range.
#[derive(Clone, Copy, Debug)]
pub(super) enum Span {
    All,
    Partition(u8),
    Prefix(u8, u8),
    Between(u8, Bound<u8>, Bound<u8>),
}

impl Span {
    pub(super) fn range(self) -> KeyRange {
        let path = |number: u8| PATHS[usize::from(number) % PATHS.len()];
        let range = match self {
            Span::All => Ok(KeyRange::all()),
            Span::Partition(one) => Ok(KeyRange::partition(&partition(one.into()))),
            Span::Prefix(one, prefix) => KeyRange::prefix(&partition(one.into()), path(prefix)),
            Span::Between(one, from, to) => {
                KeyRange::paths(&partition(one.into()), from.map(path), to.map(path))
            }
        };
        range.expect("the model names valid ranges")
    }

    /// A range that a store without an order over partitions can read.
    pub(super) fn of_one_partition(self) -> Self {
        match self {
            Span::All => Span::Partition(0),
            span => span,
        }
    }
}

/// What is expected of a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    Absent,
    Present,
    /// The revision that it has, or one that nothing has.
    Current,
    /// A revision of some earlier commit.
    Old(u8),
}

/// What becomes of a deadline.
#[derive(Clone, Copy, Debug)]
pub(super) enum Life {
    Never,
    Keep,
    After(u8),
    /// So long before now.
    Past(u8),
    /// So long after now.
    At(u8),
    /// Beyond the end of time.
    Endless,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Put(Slot, u8, Life),
    Delete(Slot),
    Touch(Slot, Life),
}

impl Change {
    /// The same change of `slot`.
    fn of(self, slot: Slot) -> Self {
        match self {
            Change::Put(_, value, life) => Change::Put(slot, value, life),
            Change::Delete(_) => Change::Delete(slot),
            Change::Touch(_, life) => Change::Touch(slot, life),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) wishes: Vec<(Slot, Wish)>,
    /// A range and how far the count is off.
    pub(super) count: Option<(Span, i8)>,
    pub(super) changes: Vec<Change>,
    pub(super) has_id: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Listing {
    pub(super) span: Span,
    pub(super) is_reverse: bool,
    pub(super) limit: Option<u8>,
    pub(super) page: u8,
    pub(super) is_keys_only: bool,
}

/// What can be read of a store and of a snapshot.
#[derive(Clone, Debug)]
pub(super) enum Look {
    Get(Slot),
    GetMany(Vec<Slot>),
    List(Listing),
    Count(Span),
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    Read(Look),
    /// Reads a page, deletes what it showed but for its last key, writes a key and reads on.
    ListUnderWrites(Listing, Slot),
    Write(Write),
    /// The same request once more.
    Retry(u8),
    /// Another batch under a request id that was used.
    Misuse(u8, Slot),
    Advance(u8),
    StepBack(u8),
    Sweep,
    Snapshot,
    ReadSnapshot(u8, Look),
    DropSnapshot(u8),
    Follow(Span),
    FollowOld(Span, u8),
    FollowAhead(Span),
    Drain(u8),
    /// Watches on from where a watch stands.
    Resume(u8),
    Reopen,
    Stats,
}

/// What the next operation depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outline {
    snapshots: u8,
    watches: u8,
}

const MOST_OPEN: u8 = 4;

pub(super) struct Sequences;

impl ReferenceStateMachine for Sequences {
    type State = Outline;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Outline> {
        Just(Outline::default()).boxed()
    }

    fn transitions(outline: &Outline) -> BoxedStrategy<Op> {
        let mut choices = vec![
            (24, looks().prop_map(Op::Read).boxed()),
            (
                2,
                (listings(), slots())
                    .prop_map(|(listing, slot)| Op::ListUnderWrites(listing, slot))
                    .boxed(),
            ),
            (44, writes().prop_map(Op::Write).boxed()),
            (4, any::<u8>().prop_map(Op::Retry).boxed()),
            (
                1,
                (any::<u8>(), slots())
                    .prop_map(|(id, slot)| Op::Misuse(id, slot))
                    .boxed(),
            ),
            (8, any::<u8>().prop_map(Op::Advance).boxed()),
            (2, any::<u8>().prop_map(Op::StepBack).boxed()),
            (4, Just(Op::Sweep).boxed()),
            (1, Just(Op::Reopen).boxed()),
            (1, Just(Op::Stats).boxed()),
            (1, spans().prop_map(Op::FollowAhead).boxed()),
        ];
        if outline.snapshots < MOST_OPEN {
            choices.push((4, Just(Op::Snapshot).boxed()));
        }
        if outline.snapshots > 0 {
            let read = (any::<u8>(), looks()).prop_map(|(which, look)| Op::ReadSnapshot(which, look));
            choices.push((10, read.boxed()));
            choices.push((2, any::<u8>().prop_map(Op::DropSnapshot).boxed()));
        }
        if outline.watches < MOST_OPEN {
            choices.push((3, spans().prop_map(Op::Follow).boxed()));
            let old = (spans(), any::<u8>()).prop_map(|(span, after)| Op::FollowOld(span, after));
            choices.push((3, old.boxed()));
        }
        if outline.watches > 0 {
            choices.push((8, any::<u8>().prop_map(Op::Drain).boxed()));
            choices.push((2, any::<u8>().prop_map(Op::Resume).boxed()));
        }
        proptest::strategy::Union::new_weighted(choices).boxed()
    }

    fn apply(mut outline: Outline, op: &Op) -> Outline {
        match op {
            Op::Snapshot => outline.snapshots += 1,
            Op::DropSnapshot(_) => outline.snapshots = outline.snapshots.saturating_sub(1),
            Op::Follow(_) | Op::FollowOld(..) => outline.watches += 1,
            Op::Reopen => outline.snapshots = 0,
            _ => {}
        }
        outline
    }
}

/// Few keys most of the time, so that operations meet.
fn slots() -> impl Strategy<Value = Slot> + Clone {
    prop_oneof![3 => 0..6_u8, 1 => 0..18_u8].prop_map(Slot)
}

fn spans() -> impl Strategy<Value = Span> + Clone {
    let bound = prop_oneof![
        Just(Bound::Unbounded),
        (0..6_u8).prop_map(Bound::Included),
        (0..6_u8).prop_map(Bound::Excluded),
    ];
    prop_oneof![
        Just(Span::All),
        (0..3_u8).prop_map(Span::Partition),
        (0..3_u8, 0..6_u8).prop_map(|(one, prefix)| Span::Prefix(one, prefix)),
        (0..3_u8, bound.clone(), bound).prop_map(|(one, from, to)| Span::Between(one, from, to)),
    ]
}

fn lives() -> impl Strategy<Value = Life> + Clone {
    prop_oneof![
        16 => Just(Life::Never),
        8 => Just(Life::Keep),
        10 => (1..=u8::MAX).prop_map(Life::After),
        4 => any::<u8>().prop_map(Life::Past),
        4 => any::<u8>().prop_map(Life::At),
        1 => Just(Life::Endless),
    ]
}

fn writes() -> impl Strategy<Value = Write> {
    let wish = prop_oneof![
        2 => Just(Wish::Absent),
        2 => Just(Wish::Present),
        4 => Just(Wish::Current),
        1 => any::<u8>().prop_map(Wish::Old),
    ];
    let change = prop_oneof![
        6 => (slots(), 0..8_u8, lives()).prop_map(|(slot, value, life)| Change::Put(slot, value, life)),
        3 => slots().prop_map(Change::Delete),
        2 => (slots(), lives()).prop_map(|(slot, life)| Change::Touch(slot, life)),
    ];
    let wishes = prop_oneof![3 => Just(Vec::new()), 2 => vec((slots(), wish), 1..3)];
    let off = prop_oneof![3 => Just(0_i8), 1 => -1..2_i8];
    // Later mutations of a key build on the earlier ones, so some batches are all about one key.
    let of_one_key = (slots(), vec(change.clone(), 2..4))
        .prop_map(|(slot, changes)| changes.into_iter().map(|change| change.of(slot)).collect());
    let changes = prop_oneof![5 => vec(change.clone(), 1..2), 4 => vec(change, 0..5), 2 => of_one_key];
    (
        wishes,
        option::weighted(0.1, (spans(), off)),
        changes,
        proptest::bool::weighted(0.2),
    )
        .prop_map(|(wishes, count, changes, has_id)| Write {
            wishes,
            count,
            changes,
            has_id,
        })
}

fn listings() -> impl Strategy<Value = Listing> + Clone {
    (
        spans(),
        any::<bool>(),
        option::weighted(0.3, 0..6_u8),
        1..5_u8,
        any::<bool>(),
    )
        .prop_map(|(span, is_reverse, limit, page, is_keys_only)| Listing {
            span,
            is_reverse,
            limit,
            page,
            is_keys_only,
        })
}

fn looks() -> impl Strategy<Value = Look> {
    prop_oneof![
        3 => slots().prop_map(Look::Get),
        2 => vec(slots(), 0..4).prop_map(Look::GetMany),
        4 => listings().prop_map(Look::List),
        1 => spans().prop_map(Look::Count),
    ]
}
