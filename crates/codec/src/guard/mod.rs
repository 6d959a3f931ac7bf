//! One set of rules over every serde format: how deep, which floats, and what bincode may be given.
//!
//! A guard wraps the serializer or deserializer of a format and every value inside it. The formats' own limits differ
//! (serde_json refuses the 128th level, rmp-serde the 1,024th, bincode none), cannot all be set at run time, and none
//! refuses a NaN; so the rules stand here once. A guard holds two words and inlines away.
//!
//! serde's errors are strings in the format's own type. What a guard refuses is therefore noted in a [`Ledger`], from
//! which the caller takes the typed reason once the format has failed.

mod de;
mod ser;

use std::cell::Cell;
use std::marker::PhantomData;

pub(crate) use de::Guard as ReadGuard;
pub(crate) use ser::Guarded;

use crate::DecodeLimits;

/// How many wrappers that leave no trace in the bytes (`Some`, newtypes) may follow each other. Without this, a type
/// that contains itself through nothing but such wrappers would recurse without end.
const MAX_WRAPPERS: u8 = 32;

/// What a format is held to, decided at compile time.
pub(crate) trait Rules {
    /// Every float must be finite: the format, or the type that is read, has no other.
    const FINITE: bool;
    /// Values are told apart by their position alone, and nothing in the bytes says what they are.
    const POSITIONAL: bool;
}

/// JSON, and everything that is read as a dynamic value.
pub(crate) struct Finite;

impl Rules for Finite {
    const FINITE: bool = true;
    const POSITIONAL: bool = false;
}

/// MessagePack read as a typed value.
pub(crate) struct Free;

impl Rules for Free {
    const FINITE: bool = false;
    const POSITIONAL: bool = false;
}

/// bincode.
pub(crate) struct Positional;

impl Rules for Positional {
    const FINITE: bool = false;
    const POSITIONAL: bool = true;
}

/// Why a guard refused a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// More levels than the limit.
    TooDeep,
    /// A type that recurses through wrappers alone.
    EndlessWrappers,
    /// NaN or an infinity where only finite floats are.
    NotFinite,
    /// A dynamic value, by the name of its type, where only typed ones can be read back.
    Dynamic(&'static str),
    /// A field that `skip_serializing_if` leaves out, where readers count the fields.
    SkippedField(&'static str),
    /// A sequence or map that does not know its length beforehand.
    UnknownLength,
    /// More elements than the payload limit has bytes.
    TooManyElements,
}

impl Refusal {
    /// What the format's error says. Nobody sees it: the ledger has the reason.
    pub(crate) fn text(self) -> &'static str {
        "refused by a limit"
    }
}

/// The limits of one call, and the reason why it was refused.
pub(crate) struct Ledger<R> {
    refusal: Cell<Option<Refusal>>,
    levels: usize,
    elements: usize,
    rules: PhantomData<R>,
}

/// How many names of types a thread remembers.
const TYPED: usize = 128;

thread_local! {
    /// Names of types that were found not to be dynamic, by their address. They are constants of the program, and
    /// searching them for every field would cost more than writing it: four times the whole of a small record.
    static TYPES: [Cell<usize>; TYPED] = const { [const { Cell::new(0) }; TYPED] };
}

impl<R: Rules> Ledger<R> {
    #[inline]
    pub(crate) fn new(limits: &DecodeLimits) -> Self {
        Ledger {
            refusal: Cell::new(None),
            levels: limits.depth(),
            elements: limits.output_bytes,
            rules: PhantomData,
        }
    }

    /// The reason of the refusal, if a guard refused.
    #[inline]
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal.get()
    }

    /// Notes the first reason: later ones are its consequences.
    #[cold]
    fn refuse(&self, refusal: Refusal) -> Refusal {
        if self.refusal.get().is_none() {
            self.refusal.set(Some(refusal));
        }
        refusal
    }

    /// Refuses dynamic values where they could not be read back. `name` is the name of a type.
    #[inline]
    fn check_type(&self, name: &'static str) -> Result<(), Refusal> {
        if !R::POSITIONAL {
            return Ok(());
        }
        let address = name.as_ptr().addr();
        let is_new = TYPES.with(|types| types[slot(address)].get() != address);
        if is_new {
            if is_dynamic(name) {
                return Err(self.refuse(Refusal::Dynamic(name)));
            }
            TYPES.with(|types| types[slot(address)].set(address));
        }
        Ok(())
    }

    #[inline]
    fn check_float(&self, finite: bool) -> Result<(), Refusal> {
        if R::FINITE && !finite {
            return Err(self.refuse(Refusal::NotFinite));
        }
        Ok(())
    }

    /// Bounds what costs no bytes: a sequence of units could otherwise claim 2^64 elements in nine bytes.
    #[inline]
    fn check_elements(&self, elements: Option<usize>) -> Result<(), Refusal> {
        if R::POSITIONAL && elements.is_some_and(|elements| elements > self.elements) {
            return Err(self.refuse(Refusal::TooManyElements));
        }
        Ok(())
    }
}

/// Where the name at this address is remembered. Names lie close together and unaligned, so all bits count.
#[inline]
fn slot(address: usize) -> usize {
    (address ^ (address >> 7)) % TYPED
}

/// Whether a type of this name holds values whose types are known at run time alone.
///
/// serde gives a serializer the static type of every element and field, so a dynamic value is seen wherever it hangs
/// in a record. Only its name can be asked without demanding `'static` of borrowed records.
fn is_dynamic(name: &str) -> bool {
    const DYNAMIC: [&str; 7] = [
        "serde_json::value::Value",
        "serde_json::map::Map<",
        "serde_json::number::Number",
        "serde_json::raw::RawValue",
        "toml::value::Value",
        "rmpv::Value",
        "serde_value::Value",
    ];
    DYNAMIC.iter().any(|dynamic| name.contains(dynamic))
}

/// How deep a guard stands.
#[derive(Clone, Copy)]
pub(crate) struct Depth {
    levels: usize,
    wrappers: u8,
}

impl Depth {
    /// Outside of everything.
    pub(crate) const TOP: Depth = Depth {
        levels: 0,
        wrappers: 0,
    };

    /// One level down: an array, a map, a struct, the payload of an enum.
    #[inline]
    fn enter<R: Rules>(self, ledger: &Ledger<R>) -> Result<Depth, Refusal> {
        if self.levels >= ledger.levels {
            return Err(ledger.refuse(Refusal::TooDeep));
        }
        Ok(Depth {
            levels: self.levels + 1,
            wrappers: 0,
        })
    }

    /// Into a wrapper that leaves no trace in the bytes.
    #[inline]
    fn wrap<R: Rules>(self, ledger: &Ledger<R>) -> Result<Depth, Refusal> {
        if self.wrappers >= MAX_WRAPPERS {
            return Err(ledger.refuse(Refusal::EndlessWrappers));
        }
        Ok(Depth {
            levels: self.levels,
            wrappers: self.wrappers + 1,
        })
    }
}
