//! `stead apply`, line by line.

use std::io::{BufRead, BufReader, Write};

use serde_json::{Value, json};

use crate::support::{Bench, json_lines};

#[test]
fn a_line_is_answered_before_the_next_is_sent() {
    let bench = Bench::new();
    let mut child = bench.spawn(&["apply"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for line in 1..=20 {
        writeln!(
            stdin,
            "{}",
            json!({"op": "set", "scope": "global", "key": "k", "value": line})
        )
        .unwrap();
        let mut answer = String::new();
        stdout.read_line(&mut answer).unwrap();
        assert_eq!(answer, format!("{{\"line\":{line},\"revision\":{line}}}\n"));
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
    assert_eq!(bench.run(&["get", "global", "k"]).done(), "20\n");
}

#[test]
fn thousands_of_lines_are_answered_in_their_order() {
    let bench = Bench::new();
    let mut lines = String::new();
    for line in 1..=5_000 {
        let op = match line % 10 {
            0 => json!({"op": "incr", "scope": "global", "key": "sum", "by": line}),
            1 => json!({"op": "set", "scope": "nowhere", "key": "k", "value": 1}),
            2 => json!({"op": "set", "scope": "global", "key": "once", "value": line, "expect": "absent"}),
            _ => json!({"op": "set", "scope": "agent:a", "key": format!("{}", line % 97), "value": line}),
        };
        lines.push_str(&op.to_string());
        lines.push('\n');
    }
    let ended = bench.run_with(&["apply", "--window", "64"], lines);
    let answers = json_lines(&ended.stdout);
    assert_eq!(answers.len(), 5_000);
    let (mut sum, mut last) = (0, 0);
    for (index, answer) in answers.iter().enumerate() {
        let line = index + 1;
        assert_eq!(answer["line"], line);
        match line % 10 {
            0 => {
                sum += line;
                assert_eq!(answer["value"], sum, "an increment sees those before it");
            }
            1 => assert_eq!(answer["error"]["kind"], "invalid"),
            2 if line > 2 => assert_eq!(answer["conflict"]["expected"], "absent"),
            _ => {}
        }
        if let Some(revision) = answer["revision"].as_u64() {
            assert!(revision > last);
            last = revision;
        }
    }
    ended.failed(2, &["refused_lines=500", "lines=5000", "first=1"]);
}

#[test]
fn a_conflict_alone_is_exit_code_3() {
    let bench = Bench::filled();
    let line = json!({"op": "check", "scope": "global", "key": "first", "expect": "absent"});
    let ended = bench.run_with(&["apply"], line.to_string());
    let conflict = json!({"scope": "global", "key": "first", "expected": "absent", "found": 1});
    assert_eq!(
        json_lines(&ended.stdout),
        [json!({"line": 1, "conflict": conflict})]
    );
    ended.failed(3, &["rejected_lines=1", "first=1"]);
}

#[test]
fn a_check_sees_the_lines_before_it() {
    let bench = Bench::new();
    let mut lines = String::new();
    for n in 0..50 {
        let key = format!("k{n}");
        for op in [
            json!({"op": "check", "scope": "global", "key": key, "expect": "absent"}),
            json!({"op": "set", "scope": "global", "key": key, "value": n}),
            json!({"op": "check", "scope": "global", "key": key, "expect": "present"}),
        ] {
            lines.push_str(&format!("{op}\n"));
        }
    }
    let answers = json_lines(&bench.run_with(&["apply"], lines).done());
    assert!(
        answers.iter().all(|answer: &Value| answer["revision"].is_u64()),
        "{answers:?}"
    );
}

#[test]
fn a_batch_happens_as_a_whole() {
    let bench = Bench::filled();
    let set = |key: &str| json!({"op": "set", "scope": "agent:a", "key": key, "value": 1});
    let check = json!({"op": "check", "scope": "global", "key": "first", "expect": "absent"});
    let torn = json!({"op": "batch", "ops": [set("a"), check, set("b")]});
    let wrong = json!({"op": "batch", "ops": [set("a"), {"op": "set", "scope": "agent:a", "key": "b"}]});
    bench.unchanged_by(|bench| {
        let ended = bench.run_with(&["apply"], format!("{torn}\n{wrong}\n"));
        let answers = json_lines(&ended.stdout);
        assert_eq!(answers[0]["conflict"]["op"], 1);
        assert_eq!(answers[1]["error"]["context"]["op"], "1");
    });
    let whole = json!({"op": "batch", "ops": [set("a"), set("b")]});
    bench.run_with(&["apply"], whole.to_string()).done();
    assert_eq!(bench.run(&["count", "agent:a"]).done(), "2\n");
}

#[test]
fn nobody_who_reads_the_answers_ends_it() {
    let bench = Bench::new();
    let mut child = bench.spawn(&["apply"]);
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let line = json!({"op": "set", "scope": "global", "key": "k", "value": 1}).to_string();
    // It ends by itself, though its input does not.
    while writeln!(stdin, "{line}").is_ok() {}
    let ended = crate::support::Ended::from(child.wait_with_output().unwrap());
    ended.failed(4, &["nobody reads the answers"]);
    bench.run(&["check"]).done();
}
