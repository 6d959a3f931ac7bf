//! Repositories that are damaged, or were never made by this program.

mod cases;
mod craft;
mod flips;
mod manifests;
mod replay;
mod sample;
mod swaps;
