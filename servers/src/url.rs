//! Parts of URLs.

/// Text as part of a URL.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// `user:password@`, or nothing.
pub(crate) fn login(credentials: Option<(&str, &str)>) -> String {
    credentials.map_or(String::new(), |(user, password)| {
        format!("{}:{}@", encoded(user), encoded(password))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_part_is_encoded() {
        assert_eq!(encoded("p@s:s/w%"), "p%40s%3As%2Fw%25");
        assert_eq!(login(Some(("", "a b"))), ":a%20b@");
        assert_eq!(login(None), "");
    }
}
