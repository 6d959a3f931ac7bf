//! What writes are, what writers say of them, and what they must not be told.

use super::*;

#[test]
fn answers_that_cannot_be_are_caught() {
    let wrong = (1..)
        .find(|number| Write::of(Load::CompareAndSet, SEED, *number).guard == Guard::Wrong)
        .unwrap();
    let mut journal = Journal::new(SEED);
    journal.begin(Load::CompareAndSet);
    journal.note(&Event::Started(wrong)).unwrap();
    let committed = Ack {
        number: wrong,
        revision: Some(Revision::new(1)),
        durability: Durability::Durable,
    };
    let failure = journal.note(&Event::Acknowledged(committed)).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Answer);
    let mut journal = Journal::new(SEED);
    journal.begin(Load::Put);
    for number in [1, 2] {
        journal.note(&Event::Started(number)).unwrap();
    }
    let kind = ErrorKind::UnknownOutcome;
    journal.note(&Event::Failed { number: 1, kind }).unwrap();
    let later = Ack {
        number: 2,
        ..committed
    };
    assert!(
        journal.note(&Event::Acknowledged(later)).is_err(),
        "acknowledged after a failure"
    );
}

#[test]
fn lines_say_what_they_are_read_as() {
    let revision = Some(Revision::new(23));
    let durability = Durability::Buffered;
    let events = [
        Event::Started(17),
        Event::Acknowledged(Ack {
            number: 17,
            revision,
            durability,
        }),
        Event::Acknowledged(Ack {
            number: 18,
            revision: None,
            durability: Durability::Durable,
        }),
        Event::Failed {
            number: 19,
            kind: ErrorKind::UnknownOutcome,
        },
        Event::Passed(400),
        Event::Synced,
    ];
    for event in events {
        assert_eq!(event.to_string().parse::<Event>().unwrap(), event);
    }
    for line in [
        "",
        "ack 17",
        "ack 17 committed durable",
        "start",
        "start x",
        "failed 3 odd",
    ] {
        assert!(line.parse::<Event>().is_err(), "{line}");
    }
    for load in Load::ALL {
        assert_eq!(load.to_string().parse::<Load>().unwrap(), load);
    }
    assert!("cas".parse::<Load>().is_err());
}

#[test]
fn a_write_is_what_its_number_says() {
    for load in Load::ALL {
        for number in 1..2_000 {
            let write = Write::of(load, SEED, number);
            assert_eq!(write, Write::of(load, SEED, number));
            let mut keys: Vec<_> = write.ops.iter().map(Op::key).collect();
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), write.ops.len(), "{load} {number} names a key twice");
            assert!(!keys.contains(&&probe_key()));
        }
    }
}
