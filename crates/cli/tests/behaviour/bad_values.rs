//! Values, keys and lifetimes that cannot be.

use serde_json::json;

use crate::support::{Bench, json_lines};

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn json_nested_10_000_deep_is_refused_by_every_way_in() {
    let bench = Bench::filled();
    let value = nested(10_000);
    let path = bench.file("deep.json", &value);
    let line = format!(r#"{{"scope":"global","key":"deep","value":{value}}}"#);
    let lines = bench.file("deep.jsonl", format!("{line}\n"));
    let words = ["nested deeper than the limit", "limit_levels=128", "levels=10000"];
    bench.unchanged_by(|bench| {
        bench.run(&["set", "global", "deep", &value]).failed(2, &words);
        bench
            .run(&["set", "global", "deep", &format!("@{path}")])
            .failed(2, &words);
        bench
            .run_with(&["set", "global", "deep", "-"], &value)
            .failed(2, &words);
        bench
            .run(&["import", &lines])
            .failed(2, &["nested deeper than the limit", "levels=10001", "line=1"]);
        let op = format!(r#"{{"op":"set","scope":"global","key":"deep","value":{value}}}"#);
        let ended = bench.run_with(&["apply"], op);
        let answer = &json_lines(&ended.stdout)[0];
        assert_eq!(answer["error"]["context"]["levels"], "10001", "{answer}");
        ended.failed(2, &["refused_lines=1"]);
    });
}

#[test]
fn nesting_up_to_the_limit_is_kept() {
    let bench = Bench::new();
    let value = nested(128);
    bench.run(&["set", "global", "deep", &value]).done();
    assert_eq!(bench.run(&["get", "global", "deep", "--raw"]).done(), value);
    let export = bench.run(&["export"]).done();
    bench.run_with(&["import", "-"], &export).done();
    let op =
        format!(r#"{{"op":"batch","ops":[{{"op":"set","scope":"global","key":"deep","value":{value}}}]}}"#);
    let ended = bench.run_with(&["apply"], op).done();
    assert!(json_lines(&ended)[0]["revision"].is_u64());
    bench
        .run(&["set", "global", "deep", &nested(129)])
        .failed(2, &["levels=129", "limit_levels=128"]);
}

#[test]
fn a_value_over_the_limit_is_refused_by_every_way_in() {
    const LIMIT: usize = 16 << 20;
    let bench = Bench::filled();
    // As a string it has two quotes more.
    let text = "x".repeat(LIMIT - 1);
    let path = bench.file("large.txt", &text);
    let larger = bench.file("larger.txt", "x".repeat(LIMIT + 1));
    let line = |op: &str| format!(r#"{{{op}"scope":"global","key":"large","value":"{text}"}}"#);
    let lines = bench.file("large.jsonl", line(""));
    let words = ["value is larger than the limit", "limit_bytes=16777216"];
    bench.unchanged_by(|bench| {
        for (path, flag) in [(&path, "--string"), (&larger, "--string"), (&larger, "--bytes")] {
            bench
                .run(&["set", "global", "large", &format!("@{path}"), flag])
                .failed(2, &words);
        }
        bench
            .run(&["import", &lines])
            .failed(2, &[words[0], words[1], "line=1"]);
        let ended = bench.run_with(&["apply"], line(r#""op":"set","#));
        let error = &json_lines(&ended.stdout)[0]["error"];
        assert_eq!(error["context"]["limit_bytes"], "16777216", "{error}");
        ended.failed(2, &[]);
    });
    let path = bench.file("just.txt", "x".repeat(LIMIT - 100));
    bench.run(&["set", "global", "large", &format!("@{path}")]).done();
    assert_eq!(
        bench.run(&["get", "global", "large", "--raw"]).done().len(),
        LIMIT - 100
    );
}

#[test]
fn a_line_over_the_limit_is_named_and_those_behind_it_are_read() {
    let bench = Bench::filled();
    let long = format!(r#"{{"op":"set","x":"{}"}}"#, "x".repeat(101 << 20));
    let lines = format!(
        "{long}\n{}\n",
        json!({"op": "set", "scope": "global", "key": "k", "value": 1})
    );
    let ended = bench.run_with(&["apply"], lines);
    let answers = json_lines(&ended.stdout);
    assert!(
        answers[0]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("line is longer")
    );
    assert!(answers[1]["revision"].is_u64());
    ended.failed(2, &["first=1"]);
}

#[test]
fn keys_that_cannot_be_are_refused_by_every_way_in() {
    let bench = Bench::filled();
    let long = "k".repeat(4_000);
    let scope = format!("agent:{long}");
    let words = [
        "key is longer than the limit",
        "length_bytes=4000",
        "limit_bytes=1023",
    ];
    bench.unchanged_by(|bench| {
        for arguments in [
            &["set", "global", &long, "1"][..],
            &["get", "global", &long],
            &["delete", "global", &long],
            &["touch", "global", &long, "--forever"],
            &["incr", "global", &long],
            &["list", "global", "--prefix", &long],
        ] {
            bench.run(arguments).failed(2, &words);
        }
        bench
            .run(&["set", &scope, "k", "1"])
            .failed(2, &["scope is longer than the limit", "limit_bytes=255"]);
        for (key, word) in [(long.as_str(), "longer"), ("a\0b", "NUL"), ("", "empty")] {
            let entry = json!({"scope": "global", "key": key, "value": 1});
            let path = bench.file("keys.jsonl", format!("{entry}\n"));
            bench.run(&["import", &path]).failed(2, &[word, "line=1"]);
            let op = json!({"op": "set", "scope": "global", "key": key, "value": 1});
            let ended = bench.run_with(&["apply"], op.to_string());
            let message = json_lines(&ended.stdout)[0]["error"]["message"].to_string();
            assert!(message.contains(word), "{message}");
            ended.failed(2, &["refused_lines=1"]);
        }
    });
}

#[test]
fn lifetimes_that_cannot_be_are_refused_by_every_way_in() {
    let bench = Bench::filled();
    bench.unchanged_by(|bench| {
        let beyond = "18446744073709551616ms";
        for ttl in [
            "0s",
            "0ms",
            "-5m",
            "-1",
            beyond,
            "99999999999999999999w",
            "18446744073709551615ms",
            "5",
            "",
        ] {
            for arguments in [
                &["set", "global", "k", "1", "--ttl", ttl][..],
                &["touch", "global", "first", "--ttl", ttl],
                &["incr", "global", "first", "--ttl", ttl],
            ] {
                bench.run(arguments).failed(2, &["error: "]);
            }
            let path = bench.file(
                "ttl.jsonl",
                json!({"scope": "global", "key": "k", "value": 1, "ttl": ttl}).to_string(),
            );
            bench.run(&["import", &path]).failed(2, &[]);
            let op = json!({"op": "set", "scope": "global", "key": "k", "value": 1, "ttl": ttl});
            let ended = bench.run_with(&["apply"], op.to_string());
            assert_eq!(json_lines(&ended.stdout)[0]["error"]["kind"], "invalid", "{ttl}");
        }
        for deadline in [json!(-1), json!(1.5), json!("soon"), json!(u64::MAX)] {
            let line = json!({"scope": "global", "key": "k", "value": 1, "deadline_ms": deadline});
            let path = bench.file("deadline.jsonl", line.to_string());
            bench.run(&["import", &path]).failed(2, &[]);
        }
        // What 64 bits cannot hold is a number that JSON would round.
        let line = r#"{"scope":"global","key":"k","value":1,"deadline_ms":18446744073709551616}"#;
        let path = bench.file("deadline.jsonl", line);
        bench.run(&["import", &path]).failed(2, &["64 bits", "line=1"]);
    });
}

#[test]
fn values_never_stand_in_errors() {
    let bench = Bench::filled();
    bench.run(&["set", "global", "word", "hunter2"]).done();
    let lines = [
        r#"{"scope":"global","key":"k","value":"hunter2","class":"sensitive"}"#,
        r#"{"scope":"global","key":"k","value":"hunter2","ttl":"0s"}"#,
        r#"{"scope":"global","key":"k","bytes":"hunter2!"}"#,
        r#"{"scope":"global","key":"k","value":hunter2}"#,
        r#"{"scope":"global","key":"","value":"hunter2"}"#,
        r#"{"scope":"global","key":"k","value":"hunter2"#,
        r#"{"op":"set","scope":"global","key":"k","value":"hunter2","expect":["hunter2"]}"#,
    ];
    for line in lines {
        let path = bench.file("secret.jsonl", line);
        let imported = bench.run(&["import", &path]);
        let applied = bench.run_with(&["apply", "--json"], line);
        for text in [imported.stderr, applied.stdout, applied.stderr] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
    for arguments in [
        &["incr", "global", "word"][..],
        &["set", "global", "word", "{\"hunter2\"", "--json"],
        &["set", "global", "word", "hunter2", "--if-absent"],
        &["set", "global", "word", "hunter2", "--class", "sensitive"],
    ] {
        let ended = bench.run(arguments);
        assert_ne!(ended.code, 0);
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
}
