//! What the operating system says of this process.

/// Resident memory, in bytes.
pub(crate) fn resident_bytes() -> u64 {
    status("VmRSS")
}

/// The most resident memory that there was, in bytes.
pub(crate) fn peak_bytes() -> u64 {
    status("VmHWM")
}

/// Has the most begin anew with what is resident now.
pub(crate) fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux lets a process do this to itself");
}

/// A size in bytes from /proc/self/status.
fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let kibibytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .expect("a size in KiB");
    kibibytes * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_is_not_less_than_what_is() {
        let held = vec![1_u8; 64 << 20];
        assert!(resident_bytes() >= 64 << 20 && peak_bytes() >= 64 << 20);
        assert_eq!(
            held.iter().map(|byte| usize::from(*byte)).sum::<usize>(),
            64 << 20
        );
    }
}
