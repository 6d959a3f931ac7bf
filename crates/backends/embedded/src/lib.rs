//! Revisions, deadlines, change log, group commit and watch over any ordered engine.
