//! One line of `strace`.

use anyhow::{Context as _, Result, bail};

/// What a line tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A call that nothing came between.
    Whole {
        thread: u32,
        call: &'a str,
        arguments: &'a str,
        result: &'a str,
    },
    /// The beginning of a call that something came between.
    Begun {
        thread: u32,
        call: &'a str,
        arguments: &'a str,
    },
    /// Its end.
    Resumed {
        thread: u32,
        call: &'a str,
        arguments: &'a str,
        result: &'a str,
    },
    /// A signal, or the end of a thread.
    Other,
}

const UNFINISHED: &str = "<unfinished ...>";

/// Reads one line.
///
/// # Errors
///
/// A line that `strace` does not write.
pub(super) fn parse(line: &str) -> Result<Line<'_>> {
    let (thread, rest) = line.split_once(' ').context("no thread")?;
    let thread = thread.parse().context("no number of a thread")?;
    let rest = rest.trim_start();
    if rest.starts_with("+++") || rest.starts_with("---") {
        return Ok(Line::Other);
    }
    if let Some(rest) = rest.strip_prefix("<... ") {
        let (call, rest) = rest.split_once(" resumed>").context("no end of a resumed call")?;
        let (arguments, result) = split_result(rest)?;
        return Ok(Line::Resumed {
            thread,
            call,
            arguments,
            result,
        });
    }
    let (call, rest) = rest.split_once('(').context("no call")?;
    if let Some((arguments, _)) = rest.split_once(UNFINISHED) {
        let arguments = arguments.trim_end();
        return Ok(Line::Begun {
            thread,
            call,
            arguments,
        });
    }
    let (arguments, result) = split_result(rest)?;
    Ok(Line::Whole {
        thread,
        call,
        arguments,
        result,
    })
}

/// Strings are written in hexadecimal, so nothing in them looks like the end of a call.
fn split_result(rest: &str) -> Result<(&str, &str)> {
    let (arguments, result) = rest.rsplit_once(" = ").context("no result")?;
    let Some(arguments) = arguments.trim_end().strip_suffix(')') else {
        bail!("no end of the arguments");
    };
    Ok((arguments, result))
}

/// The number that a call returned, or `None` if it failed or never did.
pub(super) fn returned(result: &str) -> Option<u64> {
    let end = result
        .find(|letter: char| !letter.is_ascii_alphanumeric())
        .unwrap_or(result.len());
    let number = &result[..end];
    match number.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => number.parse().ok(),
    }
}
