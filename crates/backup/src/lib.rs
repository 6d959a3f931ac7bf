//! Backups and checkpoints of a store.
