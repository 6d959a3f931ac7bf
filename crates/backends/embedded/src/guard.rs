//! Errors out of the panics of engines that trust their files in places, and give up over damaged ones.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use stead_core::{Error, Result};

/// Runs `call` of an engine, and gives what `panicked` says if it panics.
///
/// # Errors
///
/// Those of `call` and of `panicked`.
pub fn guarded<T>(panicked: fn() -> Error, call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(panicked()))
}

/// As [`guarded`], for a long `call` that runs the caller's code between that of the engine, through
/// [`Outside::run`]: a panic of the caller's code is none of the engine's and goes on. One guard around a scan instead
/// of one for each record takes a tenth off it.
///
/// # Errors
///
/// Those of `call` and of `panicked`.
pub fn guarded_around<T>(panicked: fn() -> Error, call: impl FnOnce(&Outside) -> Result<T>) -> Result<T> {
    let outside = Outside(Cell::new(false));
    catch_unwind(AssertUnwindSafe(|| call(&outside))).unwrap_or_else(|panic| {
        if outside.0.get() {
            resume_unwind(panic);
        }
        Err(panicked())
    })
}

/// The way out of [`guarded_around`], back to the caller's code.
#[derive(Debug)]
pub struct Outside(Cell<bool>);

impl Outside {
    /// Runs `call` of the caller's, whose panics go on.
    #[inline]
    pub fn run<T>(&self, call: impl FnOnce() -> T) -> T {
        self.0.set(true);
        let result = call();
        self.0.set(false);
        result
    }
}

#[cfg(test)]
mod tests {
    use stead_core::ErrorKind;

    use super::*;

    fn panicked() -> Error {
        Error::corrupt("the engine panicked")
    }

    #[test]
    fn panic_of_the_engine_is_an_error_and_one_of_the_caller_goes_on() {
        let error = guarded::<()>(panicked, || panic!("a damaged page")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let error = guarded_around::<()>(panicked, |outside| {
            outside.run(|| ());
            panic!("a damaged page")
        });
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Corrupt);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            guarded_around::<()>(panicked, |outside| outside.run(|| panic!("a bug of the caller")))
        }));
        assert!(caught.is_err(), "it is not hidden");
    }
}
