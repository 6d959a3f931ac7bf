//! Patterns of keys.

use stead_core::{Error, Result};

/// A pattern of keys: `*` is any text, `?` any one character, and a backslash makes what follows it literal.
///
/// ```
/// use stead_state::Pattern;
///
/// let pattern = Pattern::new(r"note/*\?")?;
/// assert!(pattern.matches("note/why?"));
/// assert!(!pattern.matches("note/why"));
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    tokens: Vec<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Text,
    One,
    Literal(char),
}

impl Pattern {
    /// The longest pattern in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// The pattern that `text` describes.
    ///
    /// # Errors
    ///
    /// `Invalid` when it is longer than [`Pattern::MAX_BYTES`] or ends in a lone backslash.
    pub fn new(text: &str) -> Result<Self> {
        if text.len() > Self::MAX_BYTES {
            return Err(Error::invalid("pattern is longer than the limit")
                .with("argument", "pattern")
                .with("length_bytes", text.len())
                .with("limit_bytes", Self::MAX_BYTES));
        }
        let mut tokens = Vec::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' if tokens.last() == Some(&Token::Text) => continue,
                '*' => Token::Text,
                '?' => Token::One,
                '\\' => Token::Literal(chars.next().ok_or_else(|| {
                    Error::invalid(r"pattern ends in a lone backslash; write a backslash as \\")
                        .with("argument", "pattern")
                })?),
                c => Token::Literal(c),
            });
        }
        Ok(Pattern { tokens })
    }

    /// The pattern that every key matches.
    #[must_use]
    pub fn any() -> Self {
        Pattern {
            tokens: vec![Token::Text],
        }
    }

    /// Whether `key` matches as a whole. Costs O(key x pattern) at worst and allocates nothing.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        let (mut rest, mut token) = (key, 0);
        // Where to go on when a guess fails: behind the last star, with one more character given to it. Only the last
        // star needs to be tried again, since what an earlier one could take, it can take as well.
        let mut retry: Option<(&str, usize)> = None;
        loop {
            let mut chars = rest.chars();
            match (self.tokens.get(token), chars.next()) {
                (None, None) => return true,
                (Some(Token::Text), _) => {
                    retry = Some((rest, token + 1));
                    token += 1;
                    continue;
                }
                (Some(Token::One), Some(_)) => {
                    rest = chars.as_str();
                    token += 1;
                    continue;
                }
                (Some(Token::Literal(wanted)), Some(c)) if *wanted == c => {
                    rest = chars.as_str();
                    token += 1;
                    continue;
                }
                _ => {}
            }
            let Some((start, after_star)) = retry else {
                return false;
            };
            let mut chars = start.chars();
            if chars.next().is_none() {
                return false;
            }
            retry = Some((chars.as_str(), after_star));
            (rest, token) = (chars.as_str(), after_star);
        }
    }

    /// What every matching key starts with.
    pub(crate) fn literal_prefix(&self) -> String {
        self.tokens
            .iter()
            .map_while(|token| match token {
                Token::Literal(c) => Some(*c),
                Token::Text | Token::One => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, key: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(key)
    }

    #[test]
    fn stars_questions_and_escapes() {
        assert!(matches("*", ""));
        assert!(matches("a*b*c", "a--b-b--c"));
        assert!(!matches("a*b*c", "a--b-b--"));
        assert!(matches("?", "ö"));
        assert!(!matches("?", ""));
        assert!(matches(r"\*\?\\", r"*?\"));
        assert!(!matches(r"\*", "x"));
        assert!(!matches("note", "note/1"));
        assert!(Pattern::new("a\\").is_err());
        assert_eq!(Pattern::new(r"a\*b*c").unwrap().literal_prefix(), "a*b");
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(&pattern, &"a".repeat(1_000)));
    }

    /// The definition, tried out in every way.
    fn slow(tokens: &[Token], key: &[char]) -> bool {
        match tokens.split_first() {
            None => key.is_empty(),
            Some((Token::Text, rest)) => (0..=key.len()).any(|taken| slow(rest, &key[taken..])),
            Some((Token::One, rest)) => !key.is_empty() && slow(rest, &key[1..]),
            Some((Token::Literal(c), rest)) => key.first() == Some(c) && slow(rest, &key[1..]),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,8}", key in "[ab]{0,8}") {
            let pattern = Pattern::new(&pattern).unwrap();
            let chars: Vec<char> = key.chars().collect();
            prop_assert_eq!(pattern.matches(&key), slow(&pattern.tokens, &chars));
        }
    }
}
