//! Lines as `strace -f -xx -y` writes them, and what is made of them.

use std::path::Path;

use super::Replay;
use crate::power::log::{Kind, Node, Op, Place, ROOT};
use crate::power::tree::Tree;

/// What is in quotes and in angle brackets is in hexadecimal in a recording; here it can be read.
fn recorded(lines: &str) -> Vec<String> {
    let hex = |text: &str| -> String {
        text.replace("\\n", "\n")
            .bytes()
            .map(|byte| format!("\\x{byte:02x}"))
            .collect()
    };
    let between = |line: &str, open: char, close: char| {
        let mut out = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once(open) {
            out.push_str(before);
            out.push(open);
            let (inside, after) = after.split_once(close).unwrap_or((after, ""));
            let call = inside.starts_with("unfinished") || inside.starts_with("...");
            out.push_str(&if call { inside.to_owned() } else { hex(inside) });
            out.push(close);
            rest = after;
        }
        out + rest
    };
    lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let quoted = between(line, '"', '"');
            // The closing bracket of a descriptor comes with the text in between.
            between(&quoted, '<', '>').replace("=\\x3e", "=>")
        })
        .collect()
}

fn replay(lines: &str) -> Result<Vec<Op>, String> {
    let mut replay = Replay::new(Path::new("/r"), &Tree::default());
    for line in recorded(lines) {
        replay.line(&line).map_err(|error| format!("{error:#}"))?;
    }
    Ok(replay.into_log().ops)
}

fn place(directory: Node, name: &str) -> Place {
    Place {
        directory,
        name: name.into(),
    }
}

fn make(directory: Node, name: &str, node: u32, kind: Kind) -> Op {
    Op::Make {
        place: place(directory, name),
        node: Node(node),
        kind,
    }
}

fn write(file: u32, offset: u64, data: &str) -> Op {
    Op::Write {
        file: Node(file),
        offset,
        data: data.as_bytes().into(),
    }
}

#[test]
fn directory_file_writes_and_names() {
    let ops = replay(
        r#"
        7 execve("/bin/worker", ["worker"], 0x7ffc /* 20 vars */) = 0
        7 openat(AT_FDCWD</>, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3</etc/ld.so.cache>
        7 mmap(NULL, 65, PROT_READ, MAP_PRIVATE, 3</etc/ld.so.cache>, 0) = 0x7f05
        7 close(3</etc/ld.so.cache>) = 0
        7 mkdir("/r/s", 0777) = 0
        7 openat(AT_FDCWD</>, "/r/s/a", O_RDWR|O_CREAT|O_CLOEXEC, 0666) = 3</r/s/a>
        7 write(3</r/s/a>, "abc", 3) = 3
        7 lseek(3</r/s/a>, 1, SEEK_SET) = 1
        7 read(0x3, 0x7ffe4c0, 0x1) = 0x1
        7 writev(3</r/s/a>, [{iov_base="X", iov_len=1}, {iov_base="YZ", iov_len=2}], 2) = 3
        7 fcntl(3</r/s/a>, F_DUPFD_CLOEXEC, 3) = 4</r/s/a>
        7 write(4</r/s/a>, "dup", 3) = 3
        7 pwrite64(3</r/s/a>, "at", 2, 100) = 2
        7 fallocate(3</r/s/a>, 0, 0, 200) = 0
        7 fallocate(3</r/s/a>, FALLOC_FL_KEEP_SIZE, 0, 900) = 0
        7 ftruncate(3</r/s/a>, 50) = 0
        7 fdatasync(3</r/s/a>) = 0
        7 rename("/r/s/a", "/r/s/b") = 0
        7 unlink("/r/s/missing") = -1 ENOENT (No such file or directory)
        7 link("/r/s/b", "/r/s/c") = 0
        7 unlink("/r/s/b") = 0
        7 openat(AT_FDCWD</>, "/r/s", O_RDONLY|O_CLOEXEC|O_DIRECTORY) = 5</r/s>
        7 fsync(5</r/s>) = 0
        7 unlinkat(5</r/s>, "c", 0) = 0
        7 +++ exited with 0 +++
        "#,
    );
    let directory = Node(1);
    let file = Node(2);
    let expected = vec![
        make(ROOT, "s", 1, Kind::Directory),
        make(directory, "a", 2, Kind::File),
        write(2, 0, "abc"),
        write(2, 2, "XYZ"),
        write(2, 5, "dup"),
        write(2, 100, "at"),
        Op::SetLen { file, len: 200 },
        Op::SetLen { file, len: 50 },
        Op::Sync {
            node: file,
            covers: 8,
        },
        Op::Rename {
            from: place(directory, "a"),
            to: place(directory, "b"),
            node: file,
        },
        Op::Link {
            place: place(directory, "c"),
            node: file,
        },
        Op::Remove {
            place: place(directory, "b"),
        },
        Op::Sync {
            node: directory,
            covers: 12,
        },
        Op::Remove {
            place: place(directory, "c"),
        },
    ];
    assert_eq!(ops.unwrap(), expected);
}

#[test]
fn write_during_a_sync_is_not_covered_by_it() {
    let ops = replay(
        r#"
        1 openat(AT_FDCWD</>, "/r/a", O_RDWR|O_CREAT, 0666) = 3</r/a>
        1 pwrite64(3</r/a>, "before", 6, 0) = 6
        1 fsync(3</r/a> <unfinished ...>
        2 pwrite64(3</r/a>, "during", 6, 6) = 6
        2 pwrite64(3</r/a>, "across", 6, 12 <unfinished ...>
        1 <... fsync resumed>) = 0
        2 <... pwrite64 resumed>) = 6
        "#,
    );
    assert_eq!(
        ops.unwrap(),
        [
            make(ROOT, "a", 1, Kind::File),
            write(1, 0, "before"),
            write(1, 6, "during"),
            Op::Sync {
                node: Node(1),
                covers: 2
            },
            write(1, 12, "across"),
        ]
    );
}

#[test]
fn acknowledgement_counts_from_its_beginning_and_by_the_line() {
    let ops = replay(
        r#"
        1 openat(AT_FDCWD</>, "/r/a", O_RDWR|O_CREAT, 0666) = 3</r/a>
        1 write(1<pipe:[77]>, "ack 1\nac", 8 <unfinished ...>
        2 pwrite64(3</r/a>, "x", 1, 0) = 1
        1 <... write resumed>) = 8
        1 write(1<pipe:[77]>, "k 2\n", 4) = 4
        1 write(2<pipe:[78]>, "noise\n", 6) = 6
        1 fcntl(1<pipe:[77]>, F_DUPFD_CLOEXEC, 3) = 5<pipe:[77]>
        1 writev(5<pipe:[77]>, [{iov_base="ack 3\n", iov_len=6}], 1) = 6
        "#,
    );
    assert_eq!(
        ops.unwrap(),
        [
            make(ROOT, "a", 1, Kind::File),
            Op::Acknowledge("ack 1".to_owned()),
            write(1, 0, "x"),
            Op::Acknowledge("ack 2".to_owned()),
            Op::Acknowledge("ack 3".to_owned()),
        ]
    );
}

#[test]
fn appending_goes_to_the_end_and_truncating_opens_begin_anew() {
    let ops = replay(
        r#"
        1 openat(AT_FDCWD</>, "/r/a", O_WRONLY|O_CREAT|O_APPEND, 0666) = 3</r/a>
        1 write(3</r/a>, "one", 3) = 3
        1 openat(AT_FDCWD</>, "/r/a", O_RDWR) = 4</r/a>
        1 pwrite64(4</r/a>, "two", 3, 3) = 3
        1 write(3</r/a>, "three", 5) = 5
        1 openat(AT_FDCWD</>, "/r/a", O_WRONLY|O_CREAT|O_TRUNC|O_DSYNC, 0666) = 5</r/a>
        1 write(5</r/a>, "four", 4) = 4
        "#,
    );
    let file = Node(1);
    assert_eq!(
        ops.unwrap(),
        [
            make(ROOT, "a", 1, Kind::File),
            write(1, 0, "one"),
            write(1, 3, "two"),
            write(1, 6, "three"),
            Op::SetLen { file, len: 0 },
            write(1, 0, "four"),
            Op::Sync {
                node: file,
                covers: 6
            },
        ]
    );
}

#[test]
fn descriptor_given_again_during_a_close_stands_for_the_new_file() {
    let ops = replay(
        r#"
        1 openat(AT_FDCWD</>, "/r/a", O_RDWR|O_CREAT, 0666) = 3</r/a>
        1 close(3</r/a> <unfinished ...>
        2 openat(AT_FDCWD</>, "/r/b", O_RDWR|O_CREAT, 0666) = 3</r/b>
        1 <... close resumed>) = 0
        2 write(3</r/b>, "b", 1) = 1
        "#,
    );
    assert_eq!(ops.unwrap().last(), Some(&write(2, 0, "b")));
}

#[test]
fn what_is_not_modelled_is_refused() {
    let open = r#"1 openat(AT_FDCWD</>, "/r/a", O_RDWR|O_CREAT, 0666) = 3</r/a>"#;
    for (line, reason) in [
        ("1 io_uring_setup(8, {}) = 4", "io_uring_setup"),
        (r#"1 symlink("/r/a", "/r/b") = 0"#, "symlink"),
        (
            "1 mmap(NULL, 65, PROT_READ|PROT_WRITE, MAP_SHARED, 3</r/a>, 0) = 0x7f",
            "through memory",
        ),
        (r#"1 write(9</r/b>, "x", 1) = 1"#, "opening was not recorded"),
        (
            r#"1 openat(AT_FDCWD</>, "/r/old", O_RDWR) = 4</r/old>"#,
            "before the recording",
        ),
        ("1 fsync(3</r/a>) = -1 EIO (Input/output error)", "sync failed"),
        (
            "1 copy_file_range(3</r/a>, NULL, 4</r/b>, NULL, 9, 0) = 9",
            "not modelled",
        ),
        (
            "1 fallocate(3</r/a>, FALLOC_FL_COLLAPSE_RANGE, 0, 9) = 0",
            "COLLAPSE",
        ),
        ("1 vfork() = 9", "second process"),
        (r#"1 write(3</r/a>, "x"..., 4096) = 4096"#, "short"),
    ] {
        let error = replay(&format!("{open}\n{line}")).unwrap_err();
        assert!(error.contains(reason), "{line}: {error}");
    }
}
