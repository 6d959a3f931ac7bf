//! The demo holds what it promises.

use crate::support::{Bench, Ended, command, json_lines};

#[test]
fn the_demo_runs_to_its_end_and_leaves_a_store_to_try() {
    let bench = Bench::new();
    let dir = bench.path("demo");
    let dir = dir.to_str().unwrap();
    let text = bench.run(&["demo", "--dir", dir, "--entries", "3000"]).done();
    for word in [
        "1. stored",
        "2. read back",
        "3. contended",
        "4. expired",
        "5. killed",
        "All of it held",
    ] {
        assert!(text.contains(word), "{text}");
    }
    let stead = format!("stead --store redb:{dir} ");
    assert!(text.contains(&format!("$ {stead}check")), "{text}");
    let url = format!("redb:{dir}");
    let run = |arguments: &[&str]| Ended::of(&mut command(&url, &bench.path(""), arguments));
    assert!(run(&["check"]).done().starts_with("ok: "));
    assert_eq!(run(&["count", "agent:maintainer"]).done(), "82\n");
    bench
        .run(&["demo", "--dir", dir])
        .failed(2, &["not empty", "give the demo one of its own"]);
}

#[test]
fn the_demo_tells_programs_too() {
    let bench = Bench::new();
    let dir = bench.path("demo");
    let text = bench
        .run(&["demo", "--json", "--dir", dir.to_str().unwrap(), "--entries", "0"])
        .done();
    let steps = json_lines(&text);
    let names: Vec<&str> = steps.iter().filter_map(|step| step["step"].as_str()).collect();
    assert_eq!(
        names,
        ["stored", "read back", "contended", "expired", "killed", "done"]
    );
    assert_eq!(steps[2]["facts"]["sum"], 1_000);
    assert_eq!(steps[4]["facts"]["lost"], 0);
}
