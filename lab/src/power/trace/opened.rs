//! The descriptors of the process.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::super::log::Node;

/// An open file, which descriptors share after `dup`.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) node: Node,
    pub(super) offset: u64,
    pub(super) append: bool,
    /// Every write is synced.
    pub(super) synced: bool,
    pub(super) writable: bool,
}

/// The descriptors that stand for what is recorded.
#[derive(Default)]
pub(super) struct Descriptors(HashMap<u64, Rc<RefCell<Opened>>>);

impl Descriptors {
    pub(super) fn open(&mut self, number: u64, opened: Opened) {
        self.0.insert(number, Rc::new(RefCell::new(opened)));
    }

    pub(super) fn get(&self, number: u64) -> Option<Rc<RefCell<Opened>>> {
        self.0.get(&number).cloned()
    }

    pub(super) fn close(&mut self, number: u64) {
        self.0.remove(&number);
    }

    /// `copy` stands for what `number` does from now on.
    pub(super) fn duplicate(&mut self, number: u64, copy: u64) {
        match self.get(number) {
            Some(opened) => self.0.insert(copy, opened),
            None => self.0.remove(&copy),
        };
    }
}
