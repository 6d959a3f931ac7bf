//! Progress bars: on a terminal, and nowhere else.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::json;

use crate::support::Bench;

/// What erases the line that a bar was drawn on.
const ERASE: &str = "\x1b[2K";

/// A terminal of 80 columns.
struct Terminal(OwnedFd);

impl Terminal {
    fn new() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).unwrap();
        Terminal(master)
    }

    /// The side of a program.
    fn end(&self) -> File {
        let name = ptsname(&self.0, Vec::new()).unwrap();
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(rustix::fs::OFlags::NOCTTY.bits().cast_signed())
            .open(OsStr::from_bytes(name.as_bytes()))
            .unwrap()
    }

    /// What is drawn until every program has closed its side.
    fn drawn(self) -> JoinHandle<String> {
        let mut master = File::from(self.0);
        std::thread::spawn(move || {
            let mut drawn = Vec::new();
            let mut some = [0; 4_096];
            // A terminal that nobody has open any more fails to be read.
            while let Ok(length @ 1..) = master.read(&mut some) {
                drawn.extend_from_slice(&some[..length]);
            }
            String::from_utf8(drawn).unwrap()
        })
    }
}

/// A store and a file of as many lines.
fn filled(lines: usize) -> (Bench, String) {
    let bench = Bench::new();
    let text: String = (0..lines)
        .map(|n| {
            format!(
                "{}\n",
                json!({"scope": "global", "key": n.to_string(), "value": n})
            )
        })
        .collect();
    let file = bench.file("lines.jsonl", text);
    bench.run(&["import", &file]).done();
    (bench, file)
}

/// What a command prints, and what it draws on the terminal that its stderr is.
fn on_terminal(mut command: Command) -> (String, String) {
    let terminal = Terminal::new();
    command
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(terminal.end());
    let child = command.spawn().unwrap();
    // It holds the program's side open.
    drop(command);
    let drawing = terminal.drawn();
    let output = child.wait_with_output().unwrap();
    let drawn = drawing.join().unwrap();
    assert!(output.status.success(), "{drawn}");
    (String::from_utf8(output.stdout).unwrap(), drawn)
}

#[test]
fn bars_are_drawn_on_a_terminal_and_erased() {
    let (bench, file) = filled(3_000);
    let total = "/129.67 KiB";
    let out = bench.path("out.jsonl");
    let out = out.to_str().unwrap();
    for (arguments, words, printed) in [
        (&["import", &file][..], &[total, "left"][..], "3000 entries\n"),
        (&["export", out], &["/3000 entries", "left"], "3000 entries\n"),
        (&["check"], &["records", "/3000 values"], "ok: 3000 entries"),
    ] {
        let (stdout, drawn) = on_terminal(bench.command(arguments));
        assert!(stdout.starts_with(printed), "{stdout}");
        for word in words {
            assert!(drawn.contains(word), "`{word}` was not drawn: {drawn:?}");
        }
        assert!(
            !drawn.contains("\x1b[1A"),
            "a bar is wider than the terminal: {drawn:?}"
        );
        let (_, left) = drawn.rsplit_once(ERASE).unwrap();
        assert!(left.trim().is_empty(), "something stays: {drawn:?}");
    }
}

#[test]
fn bars_leave_the_terminal_before_an_error_is_told() {
    let (bench, _) = filled(1);
    let file = bench.file(
        "broken.jsonl",
        "{\"scope\":\"global\",\"key\":\"k\",\"value\":1}\n{\n",
    );
    let terminal = Terminal::new();
    let mut command = bench.command(&["import", &file]);
    command
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stderr(terminal.end());
    let mut child = command.spawn().unwrap();
    drop(command);
    let drawing = terminal.drawn();
    assert_eq!(child.wait().unwrap().code(), Some(2));
    let drawn = drawing.join().unwrap();
    let (_, told) = drawn.rsplit_once(ERASE).unwrap();
    assert!(told.trim().starts_with("error: "), "{drawn:?}");
}

#[test]
fn nothing_is_drawn_where_stderr_is_no_terminal() {
    let (bench, file) = filled(3_000);
    for arguments in [&["import", &file][..], &["export"], &["check"]] {
        // `done` demands that stderr is empty.
        bench.run(arguments).done();
        let terminal = Terminal::new();
        let mut command = bench.command(arguments);
        command
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .stdout(terminal.end())
            .stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        drop(command);
        let drawing = terminal.drawn();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{arguments:?}"
        );
        assert!(!drawing.join().unwrap().contains('\x1b'), "{arguments:?}");
    }
}
