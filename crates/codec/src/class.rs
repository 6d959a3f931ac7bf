//! How much care a value is given.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use stead_core::Error;

/// How much care a value is given. Stored with the value, so that every later reader, hook, backup and export treats
/// it as its writer meant.
///
/// This crate stores the class and changes nothing by it; the layers above act on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StateClass {
    /// Kept in memory only, with a time to live by default, never in a backup.
    Ephemeral,
    /// The fast path: no schema validation, and before-hooks are skipped where so configured.
    Trusted,
    /// Everything on. The default.
    #[default]
    Standard,
    /// Refused unless the stack encrypts; redacted in every hook payload, log, metric, audit line and export.
    Sensitive,
    /// From outside: strict limits on size and depth, and a registered schema, or the write is refused.
    External,
}

impl StateClass {
    /// Every class, in the order of its stored byte.
    pub const ALL: [StateClass; 5] = [
        StateClass::Ephemeral,
        StateClass::Trusted,
        StateClass::Standard,
        StateClass::Sensitive,
        StateClass::External,
    ];

    /// The class as a stable lower-case word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StateClass::Ephemeral => "ephemeral",
            StateClass::Trusted => "trusted",
            StateClass::Standard => "standard",
            StateClass::Sensitive => "sensitive",
            StateClass::External => "external",
        }
    }

    /// The byte in the header.
    #[must_use]
    #[inline]
    pub(crate) const fn to_byte(self) -> u8 {
        match self {
            StateClass::Ephemeral => 0,
            StateClass::Trusted => 1,
            StateClass::Standard => 2,
            StateClass::Sensitive => 3,
            StateClass::External => 4,
        }
    }

    #[inline]
    pub(crate) fn from_byte(byte: u8) -> Option<StateClass> {
        StateClass::ALL.get(usize::from(byte)).copied()
    }
}

impl fmt::Display for StateClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StateClass {
    type Err = Error;

    /// Reads the word that [`StateClass::as_str`] gives, in lower case.
    fn from_str(text: &str) -> Result<Self, Error> {
        StateClass::ALL
            .into_iter()
            .find(|class| class.as_str() == text)
            .ok_or_else(|| {
                Error::invalid("no such class; use ephemeral, trusted, standard, sensitive or external")
                    .with("class", text)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_bytes_lead_back_to_the_class() {
        for (byte, class) in (0_u8..).zip(StateClass::ALL) {
            assert_eq!(class.to_byte(), byte);
            assert_eq!(StateClass::from_byte(byte), Some(class));
            assert_eq!(class.as_str().parse::<StateClass>().ok(), Some(class));
            assert_eq!(
                serde_json::to_value(class).ok(),
                Some(serde_json::Value::from(class.as_str()))
            );
        }
        assert_eq!(StateClass::from_byte(5), None);
        assert!("Standard".parse::<StateClass>().is_err());
    }
}
