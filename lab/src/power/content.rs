//! The bytes of a file, of which copies are cheap and holes cost nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

const PAGE: usize = 4096;
const PAGE_BYTES: u64 = PAGE as u64;

type Page = [u8; PAGE];

/// The bytes of a file. What was never written is zero. Copies share their pages until one of them is written to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    len: u64,
    pages: BTreeMap<u64, Arc<Page>>,
}

impl Content {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Cuts off what lies behind `len`, or appends zeros up to there.
    pub(crate) fn set_len(&mut self, len: u64) {
        if len < self.len {
            drop(self.pages.split_off(&len.div_ceil(PAGE_BYTES)));
            let rest = within(len);
            if rest > 0
                && let Some(page) = self.pages.get_mut(&(len / PAGE_BYTES))
            {
                Arc::make_mut(page)[rest..].fill(0);
            }
        }
        self.len = len;
    }

    /// Puts `data` at `offset`, and makes the file longer if it ends before the end of that.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        let mut at = offset;
        for piece in pieces(offset, data) {
            let page = self
                .pages
                .entry(at / PAGE_BYTES)
                .or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(page)[within(at)..][..piece.len()].copy_from_slice(piece);
            at += piece.len() as u64;
        }
        self.len = self.len.max(at);
    }

    /// Fills `out` from `offset` on; what lies behind the end is zero.
    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) {
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let piece = (PAGE - within(at)).min(out.len() - done);
            match self.pages.get(&(at / PAGE_BYTES)) {
                Some(page) => out[done..][..piece].copy_from_slice(&page[within(at)..][..piece]),
                None => out[done..][..piece].fill(0),
            }
            done += piece;
        }
    }

    /// The pieces that were ever written, with their offsets.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.pages.iter().filter_map(|(number, page)| {
            let offset = number * PAGE_BYTES;
            let there = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(PAGE);
            (there > 0).then(|| (offset, &page[..there.min(PAGE)]))
        })
    }
}

/// Where in its page a position is.
fn within(at: u64) -> usize {
    usize::try_from(at % PAGE_BYTES).unwrap_or(0)
}

/// Cuts what is to be written at the borders of pages.
fn pieces(offset: u64, mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut room = PAGE - within(offset);
    std::iter::from_fn(move || {
        if data.is_empty() {
            return None;
        }
        let (piece, rest) = data.split_at(room.min(data.len()));
        data = rest;
        room = PAGE;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::dice::Dice;

    #[test]
    fn behaves_as_a_vector_of_bytes() {
        let mut dice = Dice::new(7, 0);
        let mut model: Vec<u8> = Vec::new();
        let mut content = Content::default();
        for _ in 0..2_000 {
            let at = dice.below(20_000);
            if dice.odds(1, 5) {
                model.resize(at, 0);
                content.set_len(at as u64);
            } else {
                let data: Vec<u8> = (0..dice.below(9_000))
                    .map(|_| 1 + dice.below(255))
                    .map(|byte| byte.try_into().unwrap())
                    .collect();
                if model.len() < at + data.len() && !data.is_empty() {
                    model.resize(at + data.len(), 0);
                }
                if !data.is_empty() {
                    model[at..][..data.len()].copy_from_slice(&data);
                    content.write(at as u64, &data);
                }
            }
            let before = content.clone();
            assert_eq!(content.len(), model.len() as u64);
            let mut all = vec![9; model.len()];
            content.read(0, &mut all);
            assert_eq!(all, model);
            let mut pieced = vec![0; model.len()];
            for (offset, piece) in content.pieces() {
                pieced[usize::try_from(offset).unwrap()..][..piece.len()].copy_from_slice(piece);
            }
            assert_eq!(pieced, model);
            assert_eq!(before, content);
        }
    }

    #[test]
    fn copy_keeps_what_it_was() {
        let mut first = Content::default();
        first.write(0, b"one");
        let copy = first.clone();
        first.write(0, b"two");
        let mut out = [0; 3];
        copy.read(0, &mut out);
        assert_eq!(&out, b"one");
    }
}
