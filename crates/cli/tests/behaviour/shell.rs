//! What helps with typing.

use crate::support::Bench;

#[test]
fn every_shell_gets_its_completions() {
    let bench = Bench::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let text = bench.run(&["completions", shell]).done();
        assert!(text.contains("until-idle"), "{shell}");
    }
    bench
        .run(&["completions", "tcsh"])
        .failed(2, &["possible values"]);
}

#[test]
fn every_command_has_its_page() {
    let bench = Bench::new();
    let dir = bench.path("man");
    assert_eq!(bench.run(&["man", dir.to_str().unwrap()]).done(), "");
    for page in ["stead.1", "stead-set.1", "stead-apply.1", "stead-demo.1"] {
        let text = std::fs::read_to_string(dir.join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
    assert!(bench.run(&["man"]).done().contains("redb:./stead"));
    let file = bench.file("notes.txt", "mine");
    bench
        .run(&["man", &file])
        .failed(4, &["cannot write the manual pages"]);
}

#[test]
fn help_and_version_are_no_failures() {
    let bench = Bench::new();
    assert!(bench.run(&["--version"]).done().starts_with("stead 0."));
    assert!(bench.run(&["help", "set"]).done().contains("--if-revision"));
    assert!(!bench.path("store").exists(), "nothing of this opens a store");
}
